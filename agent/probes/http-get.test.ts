import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { httpGet } from './http-get.js';

/** What a GET gets from a server that answers with these very bytes. */
async function answerTo(bytes: string): Promise<string> {
  await using server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(bytes));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const request = { scheme: 'HTTP', host: '127.0.0.1', port, path: '/', headers: [], userAgent: 'test' } as const;
  const { statusCode, body } = await httpGet(request, new AbortController().signal);
  return `${statusCode} ${body}`;
}

test.each([
  ['lines without a carriage return', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', '200 ok'],
  ['no headers at all', 'HTTP/1.0 503 not yet\n\nok', '503 ok'],
  ['a long head', `HTTP/1.1 200 OK\r\nSet-Cookie: ${'a'.repeat(40_000)}\r\n\r\nok`, '200 ok'],
  [
    'a length and chunks',
    'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    '200 ',
  ],
])('an answer that other clients take counts: %s', async (_what, bytes, expected) => {
  expect(await answerTo(bytes)).toBe(expected);
});

test('what is no HTTP is an error', async () => {
  await expect(answerTo('SSH-2.0-OpenSSH_9.2\r\n')).rejects.toThrow(/Parse Error/);
});

test('headers are sent as they are given: often, in place of the usual ones, or not at all', async () => {
  let sent: readonly string[] = [];
  await using server = createHttpServer((request, response) => {
    sent = request.rawHeaders;
    response.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const own = { 'X-Who': ['me', 'you'], Host: ['shop.example', 'other.example'], Accept: [''], 'User-Agent': ['own'] };
  const headers = Object.entries(own).flatMap(([name, values]) => values.map((value) => ({ name, value })));
  const request = { scheme: 'HTTP', host: '127.0.0.1', port, path: '/', headers, userAgent: 'test' } as const;
  await httpGet(request, new AbortController().signal);
  const pairs = sent.flatMap((name, index) => (index % 2 === 0 ? [`${name.toLowerCase()}: ${sent[index + 1]}`] : []));
  expect(pairs.toSorted()).toEqual([
    'connection: close',
    'host: shop.example',
    'user-agent: own',
    'x-who: me',
    'x-who: you',
  ]);
});
