import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './free-ports.js';
import { TestAuthority } from './test-authority.js';
import { hostProgram, tryHostProgram } from './host-program.js';

export const login = { username: 'someone', password: 'se:cret "pass"' };

/** Debian's docker-registry on loopback, plain http, with or without a password; gone when disposed. */
export class TestRegistry implements AsyncDisposable {
  readonly host: string;
  readonly #dir: string;
  readonly #child: ChildProcess;
  readonly #auth: boolean;

  private constructor(host: string, dir: string, child: ChildProcess, auth: boolean) {
    this.host = host;
    this.#dir = dir;
    this.#child = child;
    this.#auth = auth;
  }

  static async open(options: { readonly auth?: boolean } = {}): Promise<TestRegistry> {
    const dir = await mkdtemp(join(tmpdir(), 'brt-reg-'));
    const htpasswd = join(dir, 'htpasswd');
    if (options.auth === true) {
      await hostProgram(['htpasswd', '-Bbc', '-C', '4', htpasswd, login.username, login.password]);
    }
    const auth = options.auth === true ? [`auth: {htpasswd: {realm: test, path: ${htpasswd}}}`] : [];
    for (let tries = 0; tries < 5; tries++) {
      const [port = 0] = await freePorts(1);
      const host = `127.0.0.1:${port}`;
      const config = [
        'version: 0.1',
        'log: {level: error, accesslog: {disabled: true}}',
        `storage: {filesystem: {rootdirectory: ${join(dir, 'data')}}}`,
        `http: {addr: "${host}"}`,
        ...auth,
      ];
      await writeFile(join(dir, 'config.yml'), config.join('\n'));
      const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], { stdio: 'ignore' });
      // It ends at once when somebody else took the port meanwhile.
      if (await isAnswering(host, child)) return new TestRegistry(host, dir, child, options.auth === true);
    }
    throw new Error('docker-registry does not answer');
  }

  /** Puts an image of an archive there; returns the digest the registry knows it by. */
  async push(source: string, name: string, flags: readonly string[] = []): Promise<string> {
    const digestFile = join(this.#dir, 'digest');
    const creds = this.#auth ? [`--dest-creds=${login.username}:${login.password}`] : [];
    await hostProgram(
      [
        'skopeo',
        '--insecure-policy',
        'copy',
        '--dest-tls-verify=false',
        `--digestfile=${digestFile}`,
        ...creds,
        ...flags,
      ].concat([source, `docker://${this.host}/${name}`]) as [string, ...string[]],
    );
    return (await hostProgram(['cat', digestFile])).trim();
  }

  async putManifest(name: string, reference: string, mediaType: string, body: string): Promise<void> {
    const url = `http://${this.host}/v2/${name}/manifests/${reference}`;
    const answer = await fetch(url, { method: 'PUT', body, headers: { 'content-type': mediaType } });
    if (!answer.ok) throw new Error(`put manifest: ${answer.status} ${await answer.text()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      this.#child.kill('SIGKILL');
      await once(this.#child, 'exit');
    }
    await rm(this.#dir, { recursive: true, force: true });
  }
}

async function isAnswering(host: string, child: ChildProcess): Promise<boolean> {
  const deadline = performance.now() + 60_000;
  while (child.exitCode === null && performance.now() < deadline) {
    const isUp = await fetch(`http://${host}/v2/`).then(
      () => true,
      () => false,
    );
    if (isUp && child.exitCode === null) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill('SIGKILL');
  return false;
}

/** Passes requests on to a registry, and can stop in the middle of a blob or answer something else. */
export class FaultyProxy implements AsyncDisposable {
  readonly host: string;
  readonly requests: string[] = [];
  /** Bytes of each blob that are let through; the rest never comes. */
  stallAfterBytes: number | undefined;
  /** Answers this status to everything. */
  status: number | undefined;
  /** Never answers. */
  silent = false;
  readonly #server: Server;

  private constructor(server: Server, host: string) {
    this.#server = server;
    this.host = host;
  }

  static async open(target: string): Promise<FaultyProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new FaultyProxy(server, `127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', (request, response) => proxy.#pass(target, request, response));
    return proxy;
  }

  get stalledBlobs(): number {
    return this.requests.filter((line) => line.includes('/blobs/')).length;
  }

  #pass(target: string, request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${request.method} ${request.url}`);
    response.on('error', () => {});
    if (this.silent) return;
    if (this.status !== undefined) {
      response.writeHead(this.status).end('trouble');
      return;
    }
    const url = `http://${target}${request.url}`;
    const onward = httpRequest(url, { method: request.method, headers: { ...request.headers, host: target } });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      let left = request.url?.includes('/blobs/') === true ? (this.stallAfterBytes ?? Infinity) : Infinity;
      answer.on('data', (piece: Buffer) => {
        if (left > 0) response.write(piece.subarray(0, left));
        left -= piece.length;
      });
      answer.on('end', () => {
        if (left >= 0) response.end();
      });
    });
    onward.on('error', () => response.destroy());
    onward.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Speaks TLS with a certificate of an authority that nobody knows; has no images. */
export class UntrustedRegistry implements AsyncDisposable {
  readonly host: string;
  readonly requests: string[] = [];
  readonly #server: Server;

  private constructor(server: Server, host: string) {
    this.#server = server;
    this.host = host;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.requests.push(`${request.method} ${request.url}`);
      response.writeHead(404).end();
    });
  }

  static async open(): Promise<UntrustedRegistry> {
    const authority = await TestAuthority.make();
    const server = createTlsServer(await authority.issue('registry', [], { use: 'server' }));
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new UntrustedRegistry(server, `127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export async function untilTrue(
  what: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what}: not so within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Programs of the store that still run: their arguments name its folder. */
export async function programsOf(dir: string): Promise<string[]> {
  const { stdout } = await tryHostProgram(['pgrep', '-af', dir]);
  return stdout
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.includes('pgrep'));
}
