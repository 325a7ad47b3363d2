import type { Identity } from './test-authority.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

export const inlineUser = ({ cert, key }: Identity): object => ({
  'client-certificate-data': base64(cert),
  'client-key-data': base64(key),
});

export function kubeconfigOf(server: string, ca: string, user: object): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [{ name: 'me', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'me' } }],
    'current-context': 'test',
  };
}
