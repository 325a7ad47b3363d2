import { expect, test } from 'vitest';
import { openHttp1Transport } from './http1-transport.js';

test('a SOCKS5 proxy makes no warning of the library, and others are told', async () => {
  const told: string[] = [];
  const listener = ({ message }: Error): void => void told.push(message);
  process.on('warning', listener);
  try {
    const tls = { ca: undefined, cert: undefined, key: undefined, serverName: undefined, insecure: false };
    const credentials = { connectionKey: '', tls, authorization: undefined };
    await using _transport = openHttp1Transport(new URL('http://127.0.0.1:1'), credentials, 'socks5://127.0.0.1:1');
    process.emitWarning('something else');
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual(['something else']);
  } finally {
    process.off('warning', listener);
  }
});
