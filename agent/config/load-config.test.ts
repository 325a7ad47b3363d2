import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AgentFlags } from './agent-flags.js';
import { exclusiveOf } from './exclusive-of.js';
import { housekeepingOf } from './housekeeping-of.js';
import { ConfigError, parseGoDuration } from './kubelet/index.js';
import { loadConfig, type LoadedConfig } from './load-config.js';

const machine = { hostname: 'Box', cpus: 4 };
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-config-'));
});
afterEach(() => rm(dir, { recursive: true }));

const head = 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n';
async function load(text: string, flags: AgentFlags = {}): Promise<LoadedConfig> {
  await writeFile(join(dir, 'config.yaml'), text);
  return await loadConfig({ config: join(dir, 'config.yaml'), ...flags }, machine);
}
async function problemsOf(loading: Promise<unknown>): Promise<string> {
  const failed = await loading.catch((err: unknown) => err);
  if (!(failed instanceof ConfigError)) throw new Error(`no ConfigError: ${String(failed)}`);
  return failed.message;
}

test('without a file and flags a machine stands alone with the defaults', async () => {
  const { config, idle } = await loadConfig({}, machine);
  expect(config).toMatchObject({ nodeName: 'box', runtime: { endpoint: 'embedded' }, limits: { maxPods: 110 } });
  expect(config.cluster).toBeUndefined();
  expect(idle).toEqual([]);
  expect(Object.isFrozen(config.limits)).toBe(true);
});

test('grace for the shutdown of the machine, in either form', async () => {
  const two = await load(`${head}shutdownGracePeriod: 30s\nshutdownGracePeriodCriticalPods: 10s\n`);
  expect(housekeepingOf(two.config.kubelet).shutdown).toEqual({ periodMs: 30_000, criticalMs: 10_000, byPriority: [] });
  const many = await load(
    `${head}shutdownGracePeriodByPodPriority: [{ priority: 0, shutdownGracePeriodSeconds: 20 }, { priority: 1000, shutdownGracePeriodSeconds: 5 }]\n`,
  );
  expect(housekeepingOf(many.config.kubelet).shutdown.byPriority).toEqual([
    { priority: 0, periodMs: 20_000 },
    { priority: 1000, periodMs: 5000 },
  ]);
});

test('several pulls at once are asked for with one key, unless the other says no', async () => {
  const { config } = await load(`${head}maxParallelImagePulls: 5\n`);
  expect(config.kubelet).toMatchObject({ maxParallelImagePulls: 5, serializeImagePulls: false });
  const both = await problemsOf(load(`${head}maxParallelImagePulls: 5\nserializeImagePulls: true\n`));
  expect(both).toContain('more than 1 needs serializeImagePulls: false');
});

test('CPUs, memory and NUMA nodes for containers alone', async () => {
  expect(exclusiveOf((await load(head)).config.kubelet)).toBeUndefined();
  const { config } = await load(
    `${head}cpuManagerPolicy: static
cpuManagerPolicyOptions: { full-pcpus-only: "true", strict-cpu-reservation: "false" }
systemReserved: { cpu: 500m }
kubeReserved: { cpu: 700m }
memoryManagerPolicy: Static
reservedMemory: [{ numaNode: 0, limits: { memory: 1Gi } }, { numaNode: 0, limits: { hugepages-2Mi: 2Mi } }]
topologyManagerPolicy: restricted
topologyManagerScope: pod
topologyManagerPolicyOptions: { prefer-closest-numa-nodes: "true" }
`,
  );
  expect(exclusiveOf(config.kubelet)).toMatchObject({
    cpu: { reserved: [], reservedMilli: 1200, fullCores: true, strictReservation: false, bySocket: false },
    memory: { reserved: new Map([[0, new Map(Object.entries({ memory: 2 ** 30, 'hugepages-2Mi': 2 ** 21 }))]]) },
    topology: { policy: 'restricted', scope: 'pod', preferClosest: true, mostNodes: 8 },
  });
  const wrong = await problemsOf(
    load(`${head}cpuManagerPolicy: static\ncpuManagerPolicyOptions: { fast: "true" }\nmemoryManagerPolicy: Static\n`),
  );
  expect(wrong).toContain('cpuManagerPolicy: static needs CPUs that are kept for the machine');
  expect(wrong).toContain('cpuManagerPolicyOptions.fast: unknown option');
  expect(wrong).toContain('memoryManagerPolicy: Static needs reservedMemory');
  const reserved = await problemsOf(
    load(
      `${head}reservedMemory: [{ numaNode: 0, limits: { memory: 1Gi, cpu: 1 } }, { numaNode: 0, limits: { memory: 1Gi, hugepages-2Mi: 0 } }]\n`,
    ),
  );
  expect(reserved).toContain('reservedMemory[0].limits.cpu: only memory and hugepages-SIZE can be reserved');
  expect(reserved).toContain('reservedMemory[1].limits.memory: comes twice for NUMA node 0');
  expect(reserved).toContain('reservedMemory[1].limits.hugepages-2Mi: must be more than zero');
});

test("a kubelet's file becomes the agent's configuration, paths relative to it", async () => {
  const { config, idle } = await load(
    `${head}staticPodPath: manifests
clusterDNS: [10.0.0.10]
clusterDomain: cluster.local
maxPods: 50
cgroupDriver: systemd
rotateCertificates: true
serializeImagePulls: true
nodeStatusUpdateFrequency: 4s
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
systemReserved: { cpu: 1, memory: 200Mi }
crashLoopBackOff: { maxContainerRestartPeriod: 1m0s }
kubeAPIQPS: 20
`,
    { kubeconfig: '/etc/kubelet.conf', rootDir: '/data/kubelet' },
  );
  expect(config).toMatchObject({
    sources: { manifestPath: join(dir, 'manifests') },
    dns: { servers: ['10.0.0.10'], domain: 'cluster.local' },
    limits: { maxPods: 50, parallelPulls: 1, restartBackoffMaxMs: 60_000 },
    cgroups: { driver: 'systemd' },
    runtime: { endpoint: 'unix:///run/containerd/containerd.sock' },
    cluster: {
      kubeconfig: '/etc/kubelet.conf',
      certDir: '/data/kubelet/pki',
      rotateCertificates: true,
      statusEveryMs: 4000,
      reportEveryMs: 4000,
    },
    kubelet: { systemReserved: { cpu: '1', memory: '200Mi' }, imageGCHighThresholdPercent: 85 },
  });
  expect(idle.map(({ path }) => path)).toEqual(['kubeAPIQPS']);
});

test('what kubeadm writes out with nothing in it is not said; a zero that means something is', async () => {
  const frequencies = ['sync', 'fileCheck', 'httpCheck', 'nodeStatusUpdate', 'nodeStatusReport'];
  const durations = [
    ...frequencies.map((name) => `${name}Frequency`),
    ...['cpuManagerReconcilePeriod', 'evictionPressureTransitionPeriod', 'volumeStatsAggPeriod'],
    ...['imageMinimumGCAge', 'imageMaximumGCAge', 'runtimeRequestTimeout', 'streamingConnectionIdleTimeout'],
    ...['shutdownGracePeriod', 'shutdownGracePeriodCriticalPods'],
  ];
  const zeros = `${durations.map((name) => `${name}: 0s`).join('\n')}
authentication: { webhook: { cacheTTL: 0s, enabled: true } }
authorization: { mode: "", webhook: { cacheAuthorizedTTL: 0s, cacheUnauthorizedTTL: 0m0s } }
crashLoopBackOff: {}
memorySwap: {}
logging: { flushFrequency: 0, options: { json: { infoBufferSize: "0" } }, verbosity: 0 }
maxPods: 0
port: 0
eventBurst: 0
cgroupDriver: ""
containerLogMaxSize: ""
`;
  const flags = { kubeconfig: '/etc/kubelet.conf' };
  const plain = (await load(`${head}authentication: { webhook: { enabled: true } }\n`, flags)).config;
  const { config, idle } = await load(`${head}${zeros}`, flags);
  const { logging: _, crashLoopBackOff, memorySwap, authorization, ...kubelet } = config.kubelet ?? {};
  expect({ ...config, kubelet }).toEqual(plain);
  expect({ crashLoopBackOff, memorySwap, authorization }).toEqual({
    ...{ crashLoopBackOff: {}, memorySwap: {} },
    authorization: { webhook: {} },
  });
  expect(config.cluster).toMatchObject({ statusEveryMs: 10_000, reportEveryMs: 300_000 });
  expect(idle.map(({ path }) => path)).toEqual(['logging']);
  const said = await load(
    `${head}healthzPort: 0\nimageGCHighThresholdPercent: 100\nregistryPullQPS: 0\nreadOnlyPort: 0\n`,
  );
  expect(said.config.kubelet).toMatchObject({ healthzPort: 0, readOnlyPort: 0, registryPullQPS: 0 });
});

test("berth's own settings are a second document", async () => {
  const { config } = await load(
    `${head}maxPods: 5\n---\napiVersion: berth/v1\nkind: BerthConfiguration\nstateDir: /data/berth\nruntime: docker\n`,
  );
  expect(config).toMatchObject({
    paths: { stateDir: '/data/berth' },
    runtime: { endpoint: 'docker' },
    limits: { maxPods: 5 },
  });
});

test('devices of this node: pools, the patience with plugins, where CDI specifications lie', async () => {
  const berth = `${head}---\napiVersion: berth/v1\nkind: BerthConfiguration\n`;
  const { config } = await load(
    `${berth}devicePools:\n- { resource: example.com/serial, paths: ['/dev/ttyUSB*'], permissions: rw }\n- { resource: example.com/fuse, paths: [/dev/fuse], share: 20 }\ndevicePluginGracePeriod: 30s\ncdiSpecDirs: [/etc/cdi]\n`,
  );
  expect(config.devices).toEqual({
    enabled: true,
    pools: [
      { resource: 'example.com/serial', paths: ['/dev/ttyUSB*'], permissions: 'rw', share: undefined },
      { resource: 'example.com/fuse', paths: ['/dev/fuse'], permissions: undefined, share: 20 },
    ],
    graceMs: 30_000,
    cdiDirs: ['/etc/cdi'],
  });
  expect((await load(`${berth}devices: false\n`)).config.devices.enabled).toBe(false);
  const message = await problemsOf(load(`${berth}devicePools: [{ resource: serial, paths: [dev/x], share: 2000 }]\n`));
  expect(message).toContain('BerthConfiguration: devicePools[0].share: expected at most 1000');
  const problems = await problemsOf(load(`${berth}devicePools: [{ resource: serial, paths: [dev/x] }]\n`));
  expect(problems).toContain('BerthConfiguration: devicePools[0].resource: "serial"');
  expect(problems).toContain('BerthConfiguration: devicePools[0].paths[0]: "dev/x" is not absolute');
});

test('drop-ins are merged in order: maps join, lists and values are replaced, null takes away, flags win', async () => {
  await mkdir(join(dir, 'conf.d', 'sub'), { recursive: true });
  await writeFile(
    join(dir, 'conf.d', '20-b.conf'),
    `${head}maxPods: 30\nevictionHard: { nodefs.available: 5% }\nclusterDNS: [10.0.0.2]\n`,
  );
  await writeFile(
    join(dir, 'conf.d', '10-a.conf'),
    JSON.stringify({
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      maxPods: 20,
      clusterDomain: null,
      seccompDefault: true,
    }),
  );
  await writeFile(join(dir, 'conf.d', 'sub', 'c.conf'), `${head}featureGates: { B: true }\n`);
  await writeFile(join(dir, 'conf.d', 'ignored.yaml'), 'nonsense: [');
  const { config } = await load(
    `${head}maxPods: 10\nevictionHard: { memory.available: 1Gi }\nclusterDNS: [10.0.0.1, 10.0.0.3]\nclusterDomain: x\nfeatureGates: { A: true, B: false }\n`,
    { configDir: join(dir, 'conf.d'), featureGates: 'A=false' },
  );
  expect(config).toMatchObject({
    limits: { maxPods: 30 },
    dns: { servers: ['10.0.0.2'], domain: '' },
    security: { seccompDefault: true },
  });
  expect(config.kubelet?.evictionHard).toEqual({ 'memory.available': '1Gi', 'nodefs.available': '5%' });
  expect(config.kubelet?.featureGates).toEqual({ A: false, B: true });
});

describe('problems', () => {
  test('are all told at once, each with its path', async () => {
    const message = await problemsOf(
      load(
        `${head}maxPod: 3\nauthentication: { webhok: { enabled: true } }\nsyncFrequency: often\nport: 99999\nregisterWithTaints: [{ key: a, effect: Never }]\ncpuCFSQuotaPeriod: 2s\nclusterDNS: 10.0.0.1\n---\napiVersion: berth/v1\nkind: BerthConfiguration\nstatedir: /x\n`,
        {
          nodeLabels: 'a=b,kubernetes.io/role=x,=broken',
          nodeIp: '10.0.0.1,10.0.0.2',
          registerWithTaints: 'k=v:Sometimes',
          bootstrapKubeconfig: '/b',
        },
      ),
    );
    for (const words of [
      'maxPod: unknown field; did you mean "maxPods"?',
      'authentication.webhok: unknown field; did you mean "webhook"?',
      'syncFrequency: expected a duration such as "1m30s", got "often"',
      'port: expected at most 65535',
      'registerWithTaints[0].effect: expected one of "NoSchedule"',
      'cpuCFSQuotaPeriod: expected at most 1000 ms',
      'clusterDNS: expected a list, got "10.0.0.1"',
      'BerthConfiguration: statedir: unknown field; did you mean "stateDir"?',
      '--node-labels: "kubernetes.io/role=x": a node may not give itself',
      '--node-labels: "=broken": expected name=value',
      '--node-ip: two addresses must be of different families',
      '--register-with-taints: "k=v:Sometimes"',
      '--kubeconfig: is needed with --bootstrap-kubeconfig',
    ])
      expect(message).toContain(words);
  });

  test.each<[string, string, string]>([
    ['an empty file', '', 'is empty'],
    ['another kind', 'apiVersion: v1\nkind: Pod\n', 'expected kubelet.config.k8s.io/v1beta1 KubeletConfiguration'],
    ['the same kind twice', `${head}---\n${head}`, 'holds KubeletConfiguration twice'],
    ['broken YAML', 'a: [', 'config.yaml: '],
    [
      'thresholds the wrong way round',
      `${head}imageGCHighThresholdPercent: 50\n`,
      'imageGCLowThresholdPercent: must be less than',
    ],
    [
      'more time for critical pods than for all',
      `${head}shutdownGracePeriodCriticalPods: 1s\n`,
      'shutdownGracePeriodCriticalPods: must not be longer',
    ],
    [
      'reservations without a cgroup',
      `${head}enforceNodeAllocatable: [pods, kube-reserved]\n`,
      'kubeReservedCgroup: is needed',
    ],
    [
      'a soft threshold without its grace',
      `${head}evictionSoft: { memory.available: 1Gi }\n`,
      'evictionSoftGracePeriod.memory.available: is missing',
    ],
    [
      'an unknown signal',
      `${head}evictionHard: { memory.free: 1Gi }\n`,
      'evictionHard.memory.free: unknown eviction signal',
    ],
    ['a cgroup for the system without a root', `${head}systemCgroups: /system\n`, 'systemCgroups: needs cgroupRoot'],
    [
      'the root as the cgroup for the system',
      `${head}systemCgroups: /\ncgroupRoot: /\n`,
      'systemCgroups: cannot be the root',
    ],
    [
      'a share of less than nothing',
      `${head}evictionHard: { memory.available: "-5%" }\n`,
      '-5% is no share of 0% to 100%',
    ],
    ['no amount', `${head}evictionSoft: { memory.available: 5X }\n`, 'evictionSoft.memory.available: 5X is neither'],
    [
      'no amount to reclaim',
      `${head}evictionMinimumReclaim: { pid.available: x }\n`,
      'evictionMinimumReclaim.pid.available: x',
    ],
    ['a reservation of no amount', `${head}kubeReserved: { cpu: few }\n`, 'kubeReserved.cpu: expected an amount'],
    [
      'a reservation of less than nothing',
      `${head}systemReserved: { pid: "-1" }\n`,
      'systemReserved.pid: -1 must not be',
    ],
    ['a reservation of what cannot be', `${head}kubeReserved: { gpu: 1 }\n`, 'kubeReserved.gpu: cannot be reserved'],
    [
      'a sysctl of the whole machine',
      `${head}allowedUnsafeSysctls: [net.core.*, vm.max]\n`,
      'allowedUnsafeSysctls[1]: vm.max is not known',
    ],
    ['no version of TLS', `${head}tlsMinVersion: TLS13\n`, 'tlsMinVersion: expected one of "", "VersionTLS10"'],
    [
      'no cipher suite',
      `${head}tlsCipherSuites: [TLS_AES_128_GCM_SHA256, STRONG]\n`,
      'tlsCipherSuites[1]: there is no',
    ],
    ['no sysctl', `${head}allowedUnsafeSysctls: ["*"]\n`, 'allowedUnsafeSysctls[0]: expected a sysctl'],
    [
      'images too old before they are old enough',
      `${head}imageMaximumGCAge: 1m\n`,
      'imageMaximumGCAge: must be longer',
    ],
    [
      'half a range of users',
      `${head}userNamespaces: { idsPerPod: 70000 }\n`,
      'idsPerPod: must be a multiple of 65536',
    ],
    ['running once', `${head}runOnce: true\n`, 'runOnce: is no longer supported'],
  ])('%s', async (_what, text, words) => {
    expect(await problemsOf(load(text))).toContain(words);
  });

  test('a file that is not there is one', async () => {
    expect(await problemsOf(loadConfig({ config: join(dir, 'none') }, machine))).toContain('cannot be read (ENOENT)');
  });
});

test('a path alone is an endpoint of the runtime too', async () => {
  const { config } = await load(`${head}imageServiceEndpoint: /run/images.sock\n`, {
    containerRuntimeEndpoint: '/run/containerd/containerd.sock',
  });
  expect(config.runtime).toMatchObject({
    endpoint: 'unix:///run/containerd/containerd.sock',
    imageEndpoint: 'unix:///run/images.sock',
  });
});

test('cipher suites of hardening guides are taken, and those that only Go still has', async () => {
  const names = [
    ...['AES_128_GCM_SHA256', 'AES_256_GCM_SHA384', 'CHACHA20_POLY1305'].map((each) => `TLS_ECDHE_ECDSA_WITH_${each}`),
    ...['AES_128_CBC_SHA256', 'CHACHA20_POLY1305_SHA256', '3DES_EDE_CBC_SHA'].map(
      (each) => `TLS_ECDHE_RSA_WITH_${each}`,
    ),
    ...['AES_256_GCM_SHA384', 'AES_128_CBC_SHA', 'RC4_128_SHA'].map((each) => `TLS_RSA_WITH_${each}`),
  ];
  const { config } = await load(`${head}tlsCipherSuites: [${names.join(', ')}]\ntlsMinVersion: VersionTLS13\n`);
  expect(config.kubelet).toMatchObject({ tlsCipherSuites: names, tlsMinVersion: 'VersionTLS13' });
});

test('gates that nothing looks at are told, from the file and from flags', async () => {
  const { idle } = await load(`${head}featureGates: { KubeletEnsureSecretPulledImages: false, MemoryQoS: true }\n`, {
    featureGates: 'NodeSwap=false',
  });
  expect(idle.map(({ path }) => path)).toEqual(['featureGates.MemoryQoS', 'featureGates.NodeSwap']);
  expect(idle[0]?.message).toContain('KubeletEnsureSecretPulledImages');
});

test('an address that stands for any is left to be found while the agent runs', async () => {
  for (const nodeIp of ['0.0.0.0', '::']) {
    const { config } = await loadConfig({ kubeconfig: '/k', nodeIp }, machine);
    expect(config.cluster?.nodeIps).toEqual([nodeIp]);
  }
});

test('flags say who the node is', async () => {
  const { config } = await loadConfig(
    {
      kubeconfig: '/k',
      hostnameOverride: 'Node-7',
      nodeLabels: 'zone=a,node.kubernetes.io/pool=x',
      registerWithTaints: 'dedicated=db:NoSchedule,gone:NoExecute',
      nodeIp: '10.0.0.1,fd00::1',
      registerNode: false,
      cloudProvider: 'external',
      certDir: '/pki',
    },
    machine,
  );
  expect(config).toMatchObject({
    nodeName: 'node-7',
    cluster: {
      labels: { zone: 'a', 'node.kubernetes.io/pool': 'x' },
      taints: [
        { key: 'dedicated', value: 'db', effect: 'NoSchedule' },
        { key: 'gone', effect: 'NoExecute' },
      ],
      nodeIps: ['10.0.0.1', 'fd00::1'],
      registerNode: false,
      externalCloudProvider: true,
      certDir: '/pki',
    },
  });
});

test.each([
  ['1m30s', 90_000],
  ['0', 0],
  ['1.5h', 5_400_000],
  ['-10s', -10_000],
  ['100us', 0.1],
  ['', undefined],
  ['10', undefined],
  ['s', undefined],
  ['1m 30s', undefined],
])('duration %j', (text, ms) => {
  expect(parseGoDuration(text)).toBe(ms);
});
