import { once } from 'node:events';
import {
  connect,
  createSecureServer,
  type ClientHttp2Session,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TestControlPlane } from '../../support/control-plane.js';
import { inlineUser } from '../../support/kubeconfig.js';

export interface ProxiedRequest {
  readonly method: string;
  readonly path: string;
  readonly isWatch: boolean;
}

/** What happens to a request instead of, or before, the real answer. */
export type Fault =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body: string;
    }
  /** The real answer, broken off after so many bytes. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  | { readonly kind: 'slow'; readonly delayMs: number }
  | { readonly kind: 'hang' };

/** Passes requests of one node on to the real API server, and spoils those that a test wants spoiled. */
export class FaultyProxy implements AsyncDisposable {
  readonly url: string;
  readonly requests: ProxiedRequest[] = [];
  fault: (request: ProxiedRequest) => Fault | undefined = () => undefined;
  /** True refuses connections, as a server that is away does. */
  #away = false;
  readonly #server: Http2SecureServer;
  readonly #connect: () => ClientHttp2Session;
  #upstream: ClientHttp2Session;
  readonly #sessions = new Set<ServerHttp2Session>();

  private constructor(server: Http2SecureServer, connectUpstream: () => ClientHttp2Session) {
    this.#server = server;
    this.#connect = connectUpstream;
    this.#upstream = connectUpstream();
    this.url = `https://127.0.0.1:${(server.address() as { port: number }).port}`;
    server.on('session', (session) => {
      if (this.#away) return session.destroy();
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
      session.on('error', () => {});
    });
    server.on('stream', (stream, headers) => {
      const path = headers[':path'] ?? '';
      const request = { method: headers[':method'] ?? '', path, isWatch: path.includes('watch=1') };
      stream.on('error', () => {});
      this.requests.push(request);
      // A client that goes, or is cut off, in the middle of its request gets no answer.
      this.#serve(stream, request, headers['content-type']).catch(() => stream.destroy());
    });
  }

  static async open(cluster: TestControlPlane, nodeName: string): Promise<FaultyProxy> {
    const { cert, key } = await cluster.servingIdentity();
    const server = createSecureServer({ cert, key });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const identity = await cluster.nodeIdentity(nodeName);
    return new FaultyProxy(server, () => {
      const upstream = connect(cluster.server, { ca: cluster.caCert, ...identity });
      upstream.on('error', () => {});
      return upstream;
    });
  }

  /** A kubeconfig that leads here; who the node is, the proxy knows. */
  async kubeconfig(cluster: TestControlPlane, name: string): Promise<string> {
    return await cluster.kubeconfig(`proxied-${name}`, inlineUser(await cluster.nodeIdentity(name)), this.url);
  }

  goAway(): void {
    this.#away = true;
    this.cutAll();
  }

  comeBack(): void {
    this.#away = false;
  }

  /** Breaks all connections in the middle of whatever is on them. */
  cutAll(): void {
    for (const session of this.#sessions) session.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cutAll();
    this.#upstream.destroy();
    this.#server.close();
    await once(this.#server, 'close').catch(() => {});
  }

  async #serve(stream: ServerHttp2Stream, request: ProxiedRequest, contentType: string | undefined): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    if (stream.destroyed) return;
    const fault = this.fault(request);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'answer') {
      stream.respond({ ':status': fault.status, 'content-type': 'application/json', ...fault.headers });
      return void stream.end(fault.body);
    }
    if (fault?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    if (stream.destroyed) return;
    this.#forward(
      stream,
      request,
      Buffer.concat(chunks),
      contentType,
      fault?.kind === 'cut' ? fault.afterBytes : Infinity,
    );
  }

  #forward(
    stream: ServerHttp2Stream,
    { method, path }: ProxiedRequest,
    body: Buffer,
    contentType: string | undefined,
    limit: number,
  ): void {
    const headers = { ':method': method, ':path': path, accept: 'application/json' };
    // The real server ends a connection on which nothing happens for minutes.
    if (this.#upstream.closed || this.#upstream.destroyed) this.#upstream = this.#connect();
    const upstream = this.#upstream.request(
      { ...headers, ...(contentType !== undefined && { 'content-type': contentType }) },
      { endStream: body.length === 0 },
    );
    if (body.length > 0) upstream.end(body);
    upstream.on('error', () => stream.close());
    stream.once('close', () => upstream.close());
    let passed = 0;
    upstream.once('response', (answer) => {
      const status = answer[':status'] ?? 502;
      const kept = Object.fromEntries(Object.entries(answer).filter(([name]) => !name.startsWith(':')));
      if (!stream.destroyed) stream.respond({ ...kept, ':status': status });
    });
    upstream.on('data', (chunk: Buffer) => {
      if (stream.destroyed) return;
      const room = limit - passed;
      passed += chunk.length;
      if (chunk.length <= room) return void stream.write(chunk);
      stream.write(chunk.subarray(0, Math.max(room, 0)), () => stream.session?.destroy());
      upstream.close();
    });
    upstream.once('end', () => stream.end());
  }
}
