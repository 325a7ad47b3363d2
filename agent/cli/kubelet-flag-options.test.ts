import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { ConfigError, kubeletFields } from '../config/kubelet/index.js';
import { fieldFlags } from '../config/kubelet/kubelet-flags.js';
import { loadConfig, type LoadedConfig } from '../config/load-config.js';
import { addAgentOptions } from './agent-options.js';
import { addKubeletFlags, withoutKubeletFlags } from './kubelet-flag-options.js';
import { plainOptions } from './normal-arguments.js';

function parsed(...args: readonly string[]) {
  const command = addKubeletFlags(addAgentOptions(new Command()))
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  return withoutKubeletFlags(command.parse(plainOptions(command, args), { from: 'user' }).opts());
}

async function loaded(...args: readonly string[]): Promise<LoadedConfig> {
  const { kubelet, others } = parsed(...args);
  return await loadConfig({ ...others, kubelet }, { hostname: 'n', cpus: 4 });
}

test('every flag of a field leads to one', () => {
  for (const path of Object.values(fieldFlags)) {
    let fields: object = kubeletFields;
    for (const name of path.split('.')) {
      expect(Object.keys(fields), path).toContain(name);
      const field = (fields as Record<string, { readonly fields?: object }>)[name];
      fields = field?.fields ?? {};
    }
  }
});

test('what kubeadm, kind and cloud images pass to a kubelet is taken, and what changes nothing is told', async () => {
  const { config, idle } = await loaded(
    ...['--container-runtime-endpoint=unix:///run/containerd/containerd.sock', '--node-ip=10.0.0.1'],
    ...['--pod-infra-container-image=registry.k8s.io/pause:3.10', '--runtime-cgroups=/system.slice/containerd.service'],
    ...['--cgroup-driver=systemd', '--max-pods', '29', '--v=2', '--fail-swap-on=false', '--anonymous-auth=false'],
    ...['--cluster-dns=10.96.0.10,10.96.0.11', '--cluster-domain=cluster.local', '--volume-plugin-dir=/opt/flex'],
    ...['--kube-reserved=cpu=100m,memory=256Mi', '--eviction-hard=memory.available<100Mi,nodefs.available<10%'],
    ...['--authentication-token-webhook', '--client-ca-file=/etc/kubernetes/pki/ca.crt', '--read-only-port=0'],
    ...['--tls-cipher-suites', 'TLS_AES_128_GCM_SHA256', '--minimum-image-ttl-duration=1h', '--event-qps=0'],
  );
  expect(config.kubelet).toMatchObject({
    cgroupDriver: 'systemd',
    maxPods: 29,
    clusterDNS: ['10.96.0.10', '10.96.0.11'],
    clusterDomain: 'cluster.local',
    volumePluginDir: '/opt/flex',
    kubeReserved: { cpu: '100m', memory: '256Mi' },
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%' },
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: '/etc/kubernetes/pki/ca.crt' },
    },
    tlsCipherSuites: ['TLS_AES_128_GCM_SHA256'],
    imageMinimumGCAge: 3_600_000,
    eventRecordQPS: 0,
  });
  expect(config.runtime.endpoint).toBe('unix:///run/containerd/containerd.sock');
  expect(config.runtime.cgroups).toBe('/system.slice/containerd.service');
  expect(idle.map(({ path }) => path).toSorted()).toEqual(['--fail-swap-on', '--pod-infra-container-image', '--v']);
});

test('lists and maps may come piece by piece; of all else the last counts', async () => {
  const { config } = await loaded(
    ...['--cluster-dns=10.0.0.1', '--cluster-dns=10.0.0.2', '--max-pods=1', '--max-pods=2', '-v=4'],
    ...['--reserved-memory=0:memory=1Gi,hugepages-2Mi=2Mi', '--reserved-memory=1:memory=2Gi'],
    ...['--manifest-url-header=a:b,c:d', '--topology-manager-policy-options=prefer-closest-numa-nodes=true'],
  );
  expect(config.kubelet).toMatchObject({
    clusterDNS: ['10.0.0.1', '10.0.0.2'],
    maxPods: 2,
    reservedMemory: [
      { numaNode: 0, limits: { memory: '1Gi', 'hugepages-2Mi': '2Mi' } },
      { numaNode: 1, limits: { memory: '2Gi' } },
    ],
    staticPodURLHeader: { a: ['b'], c: ['d'] },
  });
});

test('labels and gates add up as well, and a label without a value has an empty one', async () => {
  const { config } = await loaded(
    ...['--kubeconfig=/k', '--node-labels=tier=gpu,zone=a', '--node-labels=zone=b,spare'],
    ...['--feature-gates=One=true,Two=true', '--feature-gates=Two=false'],
  );
  expect(config.cluster?.labels).toEqual({ tier: 'gpu', zone: 'b', spare: '' });
  expect(config.kubelet?.featureGates).toEqual({ One: true, Two: false });
});

test.each([
  ['--rotate-certificates', 'rotateCertificates'],
  ['--seccomp-default', 'seccompDefault'],
  ['--register-node', 'registerNode'],
])('%s may say yes alone, and no over a file that says yes', async (flag, key) => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-flags-'));
  const file = join(folder, 'config.yaml');
  const said = async (inFile: boolean, ...args: readonly string[]): Promise<unknown> => {
    await writeFile(file, `{apiVersion: kubelet.config.k8s.io/v1beta1, kind: KubeletConfiguration, ${key}: ${inFile}}`);
    const { config } = await loaded('--config', file, ...args);
    return config.kubelet?.[key as 'registerNode'];
  };
  try {
    expect(await said(true, `${flag}=false`)).toBe(false);
    expect(await said(false, flag, '--max-pods=3')).toBe(true);
    expect(await said(false, `${flag}=1`)).toBe(true);
    expect(() => parsed(`${flag}=maybe`)).toThrow('expected true or false');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('an option with nothing in it, as a unit writes it of a variable that is not set, is none', async () => {
  const { config } = await loaded(
    ...[
      '--kubeconfig=',
      '--bootstrap-kubeconfig=',
      '--config=',
      '--config-dir=',
      '--hostname-override=',
      '--cert-dir=',
    ],
    ...['--node-ip=', '--node-labels=', '--image-credential-provider-config=', '--image-credential-provider-bin-dir='],
  );
  expect(config.nodeName).toBe('n');
  expect(config.cluster).toBeUndefined();
});

test('a value that cannot be is told by the name of the flag, all of them at once', async () => {
  const wrong = loaded('--max-pods=many', '--kube-reserved=cpu', '--streaming-connection-idle-timeout=1y', '--port=-1');
  await expect(wrong).rejects.toThrow(ConfigError);
  const words = await wrong.catch(String);
  expect(words).toContain('--max-pods: expected a whole number, got "many"');
  expect(words).toContain('--kube-reserved: expected a map, got "cpu"');
  expect(words).toContain('--streaming-connection-idle-timeout: expected a duration');
  expect(words).toContain('--port: expected at least 0, got -1');
});
