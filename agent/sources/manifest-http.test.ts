import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { podKey } from '../api/index.js';
import { ManifestHttp, type ManifestHttpOptions } from './manifest-http.js';
import type { SourceSnapshot } from './pod-source.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
let server: Server;
let answer: Answer;
let requests: IncomingMessage[];

beforeEach(async () => {
  requests = [];
  answer = (_, response) => response.end();
  server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const says =
  (body: unknown): Answer =>
  (_, response) =>
    response.end(JSON.stringify(body));
const pod = (name: string, containers: unknown[] = [{ name: 'a', image: 'x' }]): object => ({
  metadata: { name },
  spec: { containers },
});

class Running implements AsyncDisposable {
  readonly source: ManifestHttp;
  readonly snapshots: SourceSnapshot[] = [];
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  constructor(options: Partial<ManifestHttpOptions> = {}) {
    const url = `http://user:secret@127.0.0.1:${(server.address() as AddressInfo).port}/pods?token=secret`;
    this.source = new ManifestHttp(
      { url, nodeName: 'n', nameSuffix: true, apiReferences: false, otherKinds: false, intervalMs: 20, ...options },
      { log: silentLogger },
    );
    this.#done = this.source.run((snapshot) => this.snapshots.push(snapshot), this.#abort.signal);
  }

  get pods(): string[] {
    return (this.snapshots.at(-1)?.pods ?? []).map(podKey);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }
}

const inTime = { timeout: 60_000, interval: 5 };
vi.setConfig({ testTimeout: 70_000 });

test('a Pod, then a PodList, then nothing; an unchanged answer is delivered once', async () => {
  answer = says({ apiVersion: 'v1', kind: 'Pod', ...pod('a') });
  await using running = new Running({ headers: { 'X-Key': ['k'] } });
  await expect.poll(() => requests.length, inTime).toBeGreaterThan(3);
  expect(running.pods).toEqual(['default/a-n']);
  expect(running.snapshots).toHaveLength(1);
  expect(requests[0]?.headers['x-key']).toBe('k');
  expect(running.snapshots[0]?.pods[0]?.metadata?.annotations?.['kubernetes.io/config.source']).toBe('http');
  answer = says({ apiVersion: 'v1', kind: 'PodList', items: [pod('a'), pod('b')] });
  await expect.poll(() => running.pods, inTime).toEqual(['default/a-n', 'default/b-n']);
  answer = (_, response) => response.end();
  await expect.poll(() => running.pods, inTime).toEqual([]);
});

test('a failure leaves in force what was there, is reported without the URL’s secrets, and ends', async () => {
  answer = says({ apiVersion: 'v1', kind: 'Pod', ...pod('a') });
  await using running = new Running();
  await expect.poll(() => running.pods, inTime).toEqual(['default/a-n']);
  answer = (_, response) => response.writeHead(503).end('down');
  await expect
    .poll(() => running.source.reports[0]?.problems[0]?.message, inTime)
    .toMatch(/status 503.*stays in force/);
  expect(JSON.stringify(running.source.reports)).not.toContain('secret');
  answer = says({ apiVersion: 'v1', kind: 'PodList', items: [pod('a', [{ name: 'a' }]), pod('b')] });
  await expect.poll(() => running.pods, inTime).toEqual(['default/b-n', 'default/a-n']);
  expect(running.source.reports.map(({ ok }) => ok)).toEqual([false]);
  expect(running.source.reports[0]?.objects.map(({ key, kept }) => [key, kept])).toEqual([
    ['default/b', false],
    ['default/a', true],
  ]);
});

test('nothing is delivered before the first answer, and one that never comes is given up', async () => {
  answer = () => {};
  await using running = new Running({ timeoutMs: 50 });
  await expect.poll(() => requests.length, inTime).toBeGreaterThan(2);
  expect(running.snapshots).toEqual([]);
  expect(running.source.reports[0]?.problems[0]?.message).toMatch(/no answer within 50 ms/);
});

test('a compressed answer is read, a broken or unknown one is told', async () => {
  const body = gzipSync(JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod('a') }));
  answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body);
  await using running = new Running();
  await expect.poll(() => running.pods, inTime).toEqual(['default/a-n']);
  const message = (): string | undefined => running.source.reports[0]?.problems[0]?.message;
  answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body.subarray(0, 40));
  await expect.poll(message, inTime).toMatch(/unexpected end of file.*stays in force/);
  answer = (_, response) => response.writeHead(200, { 'content-encoding': 'br' }).end(body);
  await expect.poll(message, inTime).toMatch(/encoded as "br"/);
  // 20 MiB of spaces are a few kilobytes on the wire.
  const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024, 32));
  answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
  await expect.poll(message, inTime).toMatch(/more than 10 MiB/);
  answer = (_, response) => response.end('<html>please log in</html>');
  await expect.poll(message, inTime).toMatch(/expected an object/);
  expect(running.pods).toEqual(['default/a-n']);
});

test('a body without end is cut', async () => {
  answer = (_, response) => {
    const chunk = Buffer.alloc(1024 * 1024, 32);
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };
  await using running = new Running();
  await expect.poll(() => running.source.reports[0]?.problems[0]?.message, inTime).toMatch(/more than 10 MiB/);
});

test('stopping does not wait for an answer', async () => {
  answer = () => {};
  {
    // Longer than the test may take.
    await using running = new Running({ timeoutMs: 600_000 });
    await expect.poll(() => requests.length, inTime).toBe(1);
    expect(running.snapshots).toEqual([]);
  }
  expect(requests).toHaveLength(1);
});
