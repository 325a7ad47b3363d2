import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { runProgram } from '../../../base/run-program.js';
import { defaultClusterSettings } from '../../config/cluster-config.js';
import { readKubeconfig } from './client/index.js';
import { openClusterAccess } from './cluster-access.js';

test('the kubeconfig that comes of bootstrapping leads to the server in the same way, with the certificate of the folder', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'berth-access-'));
  try {
    const [kubeconfig, bootstrapKubeconfig, certDir] = ['own', 'bootstrap', 'pki'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    const cluster = {
      server: 'https://api.example.com:6443',
      'certificate-authority-data': Buffer.from('CA').toString('base64'),
      'tls-server-name': 'api',
      'proxy-url': 'http://proxy.example.com:3128',
    };
    const bootstrap = {
      'current-context': 'x',
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { token: 'abcdef.0123456789abcdef' } }],
    };
    await writeFile(bootstrapKubeconfig, JSON.stringify(bootstrap));
    const settings = { ...defaultClusterSettings(kubeconfig), bootstrapKubeconfig, certDir };
    const deps = { clock: systemClock, log: silentLogger, run: runProgram };
    await using _access = await openClusterAccess('node', settings, 'test', deps);
    const certificate = { kind: 'file', path: join(certDir, 'kubelet-client-current.pem') };
    expect(await readKubeconfig(kubeconfig)).toMatchObject({
      server: 'https://api.example.com:6443',
      serverName: 'api',
      proxyUrl: 'http://proxy.example.com:3128',
      ca: { kind: 'inline', content: 'CA' },
      clientCertificate: certificate,
      clientKey: certificate,
      token: undefined,
    });
    expect((await stat(kubeconfig)).mode & 0o777).toBe(0o600);
  } finally {
    await rm(dir, { recursive: true });
  }
});
