import { expect, test } from 'vitest';
import { dialText, requestText } from './probe-words.js';

const failure = (code: string, message = `connect ${code} 10.0.0.1:80`): Error =>
  Object.assign(new Error(message), { code });

test.each([
  ['ECONNREFUSED', 'dial tcp 10.0.0.1:80: connect: connection refused'],
  ['EHOSTUNREACH', 'dial tcp 10.0.0.1:80: connect: no route to host'],
  ['EMFILE', 'dial tcp 10.0.0.1:80: connect EMFILE 10.0.0.1:80'],
])('no connection for %s is told as a kubelet tells it', (code, words) => {
  expect(dialText(failure(code), { host: '10.0.0.1', port: 80 })).toBe(words);
});

test('an address of IPv6 stands in brackets', () => {
  const to = { host: 'fd00::1', port: 80 };
  expect(dialText(failure('ECONNREFUSED'), to)).toBe('dial tcp [fd00::1]:80: connect: connection refused');
});

test.each([
  [failure('ECONNREFUSED'), 'dial tcp 10.0.0.1:80: connect: connection refused'],
  [failure('ECONNRESET', 'socket hang up'), 'EOF'],
  [failure('ECONNRESET', 'read ECONNRESET'), 'read: connection reset by peer'],
  [failure('HPE_INVALID_CONSTANT', 'Parse Error: Expected HTTP/'), 'Parse Error: Expected HTTP/'],
])('a request without an answer: %s', (err, words) => {
  expect(requestText(err, { host: '10.0.0.1', port: 80 })).toBe(words);
});
