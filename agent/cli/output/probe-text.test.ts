import { expect, test } from 'vitest';
import type { Probe } from '../../api/index.js';
import { probeText } from './probe-text.js';

test.each([
  [
    { httpGet: { path: '/', port: 80, scheme: 'HTTP' }, periodSeconds: 1 },
    'http-get http://:80/ delay=0s timeout=1s period=1s #success=1 #failure=3',
  ],
  [
    { httpGet: { path: 'healthz', port: 'web', scheme: 'HTTPS', host: '10.0.0.1' }, initialDelaySeconds: 5 },
    'http-get https://10.0.0.1:web/healthz delay=5s timeout=1s period=10s #success=1 #failure=3',
  ],
  [
    { exec: { command: ['cat', '/ready'] }, timeoutSeconds: 2, failureThreshold: 9 },
    'exec [cat /ready] delay=0s timeout=2s period=10s #success=1 #failure=9',
  ],
  [
    { tcpSocket: { port: 5432 }, successThreshold: 2 },
    'tcp-socket :5432 delay=0s timeout=1s period=10s #success=2 #failure=3',
  ],
  [
    { grpc: { port: 9000, service: 'live' } },
    'grpc <pod>:9000 live delay=0s timeout=1s period=10s #success=1 #failure=3',
  ],
  [{ grpc: { port: 9000 } }, 'grpc <pod>:9000 delay=0s timeout=1s period=10s #success=1 #failure=3'],
] as [Probe, string][])('%j', (probe, text) => {
  expect(probeText(probe)).toBe(text);
});
