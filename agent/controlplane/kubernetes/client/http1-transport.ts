import { isIP } from 'node:net';
import { Pool, ProxyAgent, type Dispatcher } from 'undici';
import type { Credentials } from './credentials.js';
import { connectionError } from './http2-session.js';
import { socksAgent } from './socks-agent.js';
import type { HttpAnswer, HttpRequest, OpenTransport, Transport } from './transport.js';

/** For servers without TLS or HTTP/2, and for proxies. A watch takes a connection of its own here. */
class Http1Transport implements Transport {
  readonly #server: URL;
  readonly #make: () => Dispatcher;
  #dispatcher: Dispatcher;

  constructor(server: URL, make: () => Dispatcher) {
    this.#server = server;
    this.#make = make;
    this.#dispatcher = make();
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
    this.#dispatcher = this.#make();
    void old.destroy(new Error(reason));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher.destroy();
  }
}

export const openHttp1Transport: OpenTransport = (server, credentials, proxyUrl) => {
  const tls = tlsOptions(server, credentials);
  // Watches may be silent for minutes; whoever waits for an answer has a time limit of its own.
  const limits = { headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 30_000 };
  const make = (): Dispatcher => {
    if (proxyUrl === undefined)
      return new Pool(server.origin, { ...limits, connect: { ...tls, timeout: 10_000 }, allowH2: false });
    // The agent for all proxies hands this one the name and the password as they are escaped in the URL.
    const options = { requestTls: tls, ...limits };
    if (new URL(proxyUrl).protocol === 'socks5:') return socksAgent(proxyUrl, options);
    return new ProxyAgent({ uri: proxyUrl, ...options });
  };
  return new Http1Transport(server, make);
};

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
