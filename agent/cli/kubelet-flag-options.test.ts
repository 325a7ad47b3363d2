import { Command } from 'commander';
import { expect, test } from 'vitest';
import { ConfigError, kubeletFields } from '../config/kubelet/index.js';
import { fieldFlags } from '../config/kubelet/kubelet-flags.js';
import { loadConfig, type LoadedConfig } from '../config/load-config.js';
import { addClusterOptions } from './cluster-options.js';
import { addKubeletFlags, withoutKubeletFlags } from './kubelet-flag-options.js';

function parsed(...args: readonly string[]) {
  const command = addKubeletFlags(addClusterOptions(new Command())).exitOverride();
  return withoutKubeletFlags(command.parse(args, { from: 'user' }).opts());
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

test('a value that cannot be is told by the name of the flag, all of them at once', async () => {
  const wrong = loaded('--max-pods=many', '--kube-reserved=cpu', '--streaming-connection-idle-timeout=1y', '--port=-1');
  await expect(wrong).rejects.toThrow(ConfigError);
  const words = await wrong.catch(String);
  expect(words).toContain('--max-pods: expected a whole number, got "many"');
  expect(words).toContain('--kube-reserved: expected a map, got "cpu"');
  expect(words).toContain('--streaming-connection-idle-timeout: expected a duration');
  expect(words).toContain('--port: expected at least 0, got -1');
});
