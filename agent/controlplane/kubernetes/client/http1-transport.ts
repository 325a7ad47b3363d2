import { isIP } from 'node:net';
import { buildConnector, Pool, ProxyAgent, type Dispatcher } from 'undici';
import type { Credentials } from './credentials.js';
import { connectionError } from './http2-session.js';
import { onLocalAddressGone } from './local-address.js';
import { socksAgent } from './socks-agent.js';
import type { HttpAnswer, HttpRequest, OpenTransport, Transport } from './transport.js';

/** For servers without TLS or HTTP/2, and for proxies. A watch takes a connection of its own here. */
class Http1Transport implements Transport {
  readonly #server: URL;
  readonly #make: (lost: (reason: string) => void) => Dispatcher;
  #dispatcher: Dispatcher;

  constructor(server: URL, make: (lost: (reason: string) => void) => Dispatcher) {
    this.#server = server;
    this.#make = make;
    this.#dispatcher = this.#open();
  }

  async send({ method, path, headers, body }: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    try {
      const answer = await this.#dispatcher.request({
        origin: this.#server.origin,
        method,
        path,
        headers,
        body: body ?? null,
        signal,
      });
      const plain = answer.headers as Readonly<Record<string, string | undefined>>;
      return { status: answer.statusCode, headers: plain, body: answer.body };
    } catch (err) {
      signal.throwIfAborted();
      throw connectionError(this.#server, err);
    }
  }

  reset(reason: string): void {
    const old = this.#dispatcher;
    this.#dispatcher = this.#open();
    void old.destroy(new Error(reason));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher.destroy();
  }

  /**
   * With one connection whose local address is gone all are made anew: they go to one place, and so come from one address; and what breaks
   * below a tunnel is not told to whoever speaks TLS in it, or waits for that.
   */
  #open(): Dispatcher {
    const dispatcher = this.#make((reason) => {
      if (this.#dispatcher === dispatcher) this.reset(reason);
    });
    return dispatcher;
  }
}

export const openHttp1Transport: OpenTransport = (server, credentials, proxyUrl) => {
  const tls = tlsOptions(server, credentials);
  // Watches may be silent for minutes; whoever waits for an answer has a time limit of its own.
  const limits = { headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 30_000 };
  const make = (lost: (reason: string) => void): Dispatcher => {
    if (proxyUrl === undefined) {
      const connect = watched(buildConnector({ ...tls, timeout: 10_000 }), lost);
      return new Pool(server.origin, { ...limits, connect, allowH2: false });
    }
    const options = { requestTls: tls, ...limits };
    // The agent for all proxies hands this one the name and the password as they are escaped in the URL.
    if (new URL(proxyUrl).protocol === 'socks5:')
      return socksAgent(proxyUrl, { ...options, connect: watched(buildConnector({}), lost) });
    const clientFactory = (proxy: URL, { connect }: { connect: buildConnector.connector }): Dispatcher =>
      new Pool(proxy, { connect: watched(connect, lost) });
    return new ProxyAgent({ uri: proxyUrl, ...options, clientFactory });
  };
  return new Http1Transport(server, make);
};

/** Calls `lost` when the local address of a connection is gone. */
const watched =
  (connect: buildConnector.connector, lost: (reason: string) => void): buildConnector.connector =>
  (options, callback) =>
    connect(options, (...made) => {
      const [, socket] = made;
      if (socket) onLocalAddressGone(socket, lost);
      callback(...made);
    });

function tlsOptions(server: URL, { tls }: Credentials): Record<string, unknown> {
  if (server.protocol !== 'https:') return {};
  const { ca, cert, key, serverName, insecure } = tls;
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(serverName !== undefined && isIP(serverName) === 0 && { servername: serverName }),
    rejectUnauthorized: !insecure,
  };
}
