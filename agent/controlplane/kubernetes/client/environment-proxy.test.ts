import { expect, test } from 'vitest';
import { environmentProxy } from './environment-proxy.js';

const proxy = 'http://proxy:3128';
const of = (server: string, env: Record<string, string>): string | undefined => environmentProxy(new URL(server), env);

test.each<[string, Record<string, string>, string | undefined]>([
  ['https://api.example.com:6443', {}, undefined],
  ['https://api.example.com:6443', { HTTPS_PROXY: proxy }, proxy],
  ['https://api.example.com:6443', { https_proxy: proxy, HTTPS_PROXY: '' }, proxy],
  ['https://api.example.com:6443', { HTTPS_PROXY: 'proxy:3128' }, proxy],
  ['https://api.example.com:6443', { HTTP_PROXY: proxy }, undefined],
  ['http://api.example.com:8080', { HTTP_PROXY: proxy, HTTPS_PROXY: 'http://other' }, proxy],
  ['https://localhost:6443', { HTTPS_PROXY: proxy }, undefined],
  ['https://127.3.2.1:6443', { HTTPS_PROXY: proxy }, undefined],
  ['https://[::1]:6443', { HTTPS_PROXY: proxy }, undefined],
])('%s with %j goes through %s', (server, env, chosen) => {
  expect(of(server, env)).toBe(chosen);
});

test.each<[string, string, boolean]>([
  ['https://api.example.com', '*', true],
  ['https://api.example.com', 'other.com, example.com', true],
  ['https://example.com', 'example.com', true],
  ['https://api.example.com', '.example.com', true],
  ['https://example.com', '.example.com', false],
  ['https://api.example.com', '*.EXAMPLE.com', true],
  ['https://anexample.com', 'example.com', false],
  ['https://api.example.com', 'api.example.com:443', true],
  ['https://api.example.com:6443', 'api.example.com:443', false],
  ['https://10.1.2.3:6443', '10.1.2.3', true],
  ['https://10.1.2.3:6443', '10.1.2.3:6443', true],
  ['https://10.1.2.3', '10.0.0.0/8', true],
  ['https://11.1.2.3', '10.0.0.0/8,fd00::/8', false],
  ['https://[fd00::7]:6443', 'fd00::/8', true],
  ['https://[fd00::7]:6443', 'fd00::7', true],
  ['https://[fd00::7]:6443', '[fd00::7]:6443', true],
  ['https://[fd00::7]:6443', '[fd00::7]:1', false],
  ['https://10.1.2.3', '10.0.0.0/99, nonsense/8', false],
  ['https://api.example.com', '', false],
])('%s with NO_PROXY=%s is reached directly: %s', (server, exceptions, direct) => {
  const chosen = of(server, { HTTPS_PROXY: proxy, NO_PROXY: exceptions });
  expect(chosen).toBe(direct ? undefined : proxy);
});
