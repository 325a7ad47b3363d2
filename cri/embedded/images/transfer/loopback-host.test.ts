import { expect, test } from 'vitest';
import { isLoopbackHost } from './loopback-host.js';

const nobody = async (): Promise<readonly string[]> => {
  throw new Error('looked up');
};

test.each([
  ['127.0.0.1:5000', true],
  ['127.255.0.9', true],
  ['[::1]:5000', true],
  ['128.0.0.1:5000', false],
  ['10.0.0.1', false],
  ['[::2]:5000', false],
  ['127.0.0.1.example.com:5000', false],
  ['127.1:5000', false],
  ['localhost.example.com', false],
  ['docker.io', false],
])('%s: %s', async (domain, expected) => {
  expect(await isLoopbackHost(domain, nobody)).toBe(expected);
});

test('localhost is what this machine says it is', async () => {
  const lookUp =
    (...addresses: string[]): (() => Promise<string[]>) =>
    async () =>
      addresses;
  expect(await isLoopbackHost('localhost:5000', lookUp('127.0.0.1', '::1'))).toBe(true);
  expect(await isLoopbackHost('localhost', lookUp('127.0.1.1'))).toBe(true);
  expect(await isLoopbackHost('localhost:5000', lookUp('127.0.0.1', '192.0.2.1'))).toBe(false);
  expect(await isLoopbackHost('localhost:5000', lookUp())).toBe(false);
  expect(await isLoopbackHost('localhost:5000', nobody)).toBe(false);
});
