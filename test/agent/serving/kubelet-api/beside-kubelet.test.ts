import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Node, Pod } from '../../../../agent/api/index.js';
import { buildProgram } from '../../../../agent/cli/program.js';
import { sampleImage } from '../../agent-world.js';
import { assetsDir } from '../../../support/control-plane.js';
import { hostProgram } from '../../../support/host-program.js';
import type { Answer } from './https-client.js';
import { boundsOf, labelsOf } from './metric-labels.js';
import { hasRealKubelet } from './real-kubelet.js';
import { berth, both, ended, isReady, main, plain, TwoNodes, type Case, type NodeName } from './two-nodes.js';
import { hasWholeCluster, type WholeCluster } from './whole-cluster.js';

const podOf = (nodeName: NodeName): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `pod-${nodeName}` },
  spec: {
    nodeName,
    terminationGracePeriodSeconds: 1,
    automountServiceAccountToken: false,
    initContainers: [{ name: 'init', image: sampleImage, command: ['true'] }],
    containers: [
      {
        name: 'main',
        image: sampleImage,
        command: ['sh', '-c', 'echo one; echo two; echo three; exec sleep 100000'],
        readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 },
        resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
        volumeMounts: [{ name: 'e', mountPath: '/e' }],
      },
      { name: 'crash', image: sampleImage, command: ['sh', '-c', 'echo first; exit 3'] },
      { name: 'none', image: 'localhost/none/such:1', imagePullPolicy: 'Never', command: ['true'] },
    ],
    volumes: [{ name: 'e', emptyDir: {} }],
  },
});

/** Pods in all kinds of states. */
const cases: Readonly<Record<string, Case>> = {
  'fails-in-part': {
    spec: { restartPolicy: 'Never', containers: [main('exit 7'), { ...main('exit 0'), name: 'other' }] },
    until: ended,
  },
  succeeds: {
    spec: { restartPolicy: 'OnFailure', containers: [main('sleep 1; echo words > /dev/termination-log')] },
    until: ended,
  },
  'fails-in-init': {
    spec: {
      restartPolicy: 'Never',
      initContainers: [{ ...main('exit 5'), name: 'first' }],
      containers: [main('true')],
    },
    until: ended,
  },
  'is-refused': { spec: { nodeSelector: { no: 'where' }, containers: [main('true')] }, until: ended },
  'has-a-sidecar': {
    spec: {
      initContainers: [{ ...main('exec sleep 100000', { restartPolicy: 'Always' }), name: 'side' }],
      containers: [main('exec sleep 100000')],
    },
    until: isReady,
  },
  'uses-the-host': { spec: { hostNetwork: true, containers: [main('exec sleep 100000')] }, until: isReady },
  'is-not-ready': {
    spec: { containers: [main('exec sleep 100000', { readinessProbe: { exec: { command: ['false'] } } })] },
    until: ({ status }) => status?.containerStatuses?.[0]?.state?.running !== undefined,
  },
  'starts-slowly': {
    spec: { containers: [main('exec sleep 100000', { startupProbe: { exec: { command: ['false'] } } })] },
    until: ({ status }) => status?.containerStatuses?.[0]?.state?.running !== undefined,
  },
  // None with resources for the pod as a whole: a kubelet 1.36 dereferences nil there on cgroup v1, and is gone.
  'is-limited': {
    spec: { containers: [main('exec sleep 100000', { resources: { limits: { cpu: '70m', memory: '64Mi' } } })] },
    until: isReady,
  },
  'waits-for-a-volume': {
    spec: {
      containers: [main('true', { volumeMounts: [{ name: 'v', mountPath: '/v' }] })],
      volumes: [{ name: 'v', configMap: { name: 'nowhere' } }],
    },
    until: ({ status }) => status?.containerStatuses?.[0]?.state?.waiting !== undefined,
  },
  'waits-for-its-environment': {
    spec: { containers: [main('true', { envFrom: [{ secretRef: { name: 'nowhere' } }] })] },
    until: ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
  },
};

/** What a kubelet tells of itself and berth does not: of Go, of parts that berth does not have, of what only cAdvisor or the kubelet counts. */
const metricsOfKubeletsOnly: Readonly<Record<string, RegExp>> = {
  '/metrics': new RegExp(
    [
      '^(go|workqueue|apiserver|aggregator|cardinality|disabled_metrics|hidden_metrics|registered_metrics)_',
      // Features here have no gates.
      '^kubernetes_feature_enabled$',
      // Of an API for pods that berth does not serve.
      '^kubelet_pod_watch_events_dropped_total$',
      // Events of the runtime are the way by which berth learns of everything, and no addition to a list.
      '^kubelet_evented_pleg_|^kubelet_pleg_relist_interval_seconds$',
      // All records of pulls are in memory, however many.
      '^kubelet_imagemanager_inmemory_',
      // The disk is asked what there is of a pod: nothing is rebuilt at the start, and there is no sweep for orphans.
      '^(reconstruct|force_cleaned)_|^kubelet_orphan_pod_cleaned_volumes',
      // Nothing is held back on this side, and connections are not taken from a cache.
      '^rest_client_(rate_limiter|transport)_',
      // Told once there was one.
      '^rest_client_exec_plugin_certificate_rotation_age$',
    ].join('|'),
  ),
  '/metrics/cadvisor': /^container_(cpu_load|tasks_state|health_state)|^machine_(cpu_books|cpu_drawers|nvm)/,
  '/metrics/resource': /^$/,
  '/metrics/probes': /^$/,
  '/metrics/slis': /^$/,
};

/** The same things on two nodes, of which one is Kubernetes' own; what differs by design is named here and nothing else may. */
describe.runIf(hasWholeCluster() && hasRealKubelet())('beside a kubelet of the same version', () => {
  let nodes: TwoNodes;
  let whole: WholeCluster;
  beforeAll(async () => {
    nodes = await TwoNodes.open();
    whole = nodes.whole;
    await whole.apply(...both.map(podOf), ...nodes.podsOf(cases));
    for (const name of both)
      await whole
        .until(
          `the pod of ${name} has crashed twice`,
          async () => {
            const statuses = (await podNow(name)).status?.containerStatuses ?? [];
            const of = (container: string) => statuses.find((each) => each.name === container);
            const hasCrashed = (of('crash')?.restartCount ?? 0) > 0;
            return (hasCrashed && of('main')?.ready === true) || undefined;
          },
          60_000,
        )
        .catch(async (err: unknown) => {
          throw new Error(await nodes.kubelet.lastWords(), { cause: err });
        });
  });
  afterAll(async () => {
    await nodes?.[Symbol.asyncDispose]();
  });

  const podNow = (node: NodeName, name = 'pod'): Promise<Pod> => nodes.pod(node, name);
  const asked = (name: NodeName, path: string): Promise<Answer> => nodes.asked(name, path);

  test('the node object', async () => {
    const shown = async (name: NodeName): Promise<unknown> => {
      const { metadata, spec, status } = await nodes.get<Node>(`/api/v1/nodes/${name}`);
      const { labels, annotations } = metadata ?? {};
      const { addresses, allocatable, capacity, conditions, declaredFeatures, nodeInfo, ...rest } = status ?? {};
      // A size that the machine has no pages of is not listed, and each runtime has images and handlers of its own.
      const ours = (amounts: object = {}): object =>
        Object.fromEntries(Object.entries(amounts).filter(([key]) => !/^hugepages-|storage$/.test(key)));
      // Which release of the minor version berth speaks is not said.
      const kubeletVersion = nodeInfo?.kubeletVersion.replace(/\.\d+$/, '');
      const info = { ...nodeInfo, containerRuntimeVersion: '', kubeletVersion };
      const amounts = { capacity: ours(capacity), allocatable: ours(allocatable) };
      const fields = Object.keys(rest).toSorted();
      const all = { labels, annotations, spec, addresses, conditions, declaredFeatures, fields, info, ...amounts };
      return plain(all, name);
    };
    await nodes.alike(shown);
  });

  test('the status of a pod whose containers run, crash and cannot start', async () => {
    await nodes.alike((node) => nodes.told(node, 'pod'));
  });

  test.each(Object.keys(cases))('the status of a pod that %s', async (name) => {
    for (const node of both)
      await whole.until(`${name} of ${node}`, async () => cases[name]?.until(await podNow(node, name)) || undefined);
    await nodes.alike((node) => nodes.told(node, name));
  });

  test('events of pods and node, in the same words', async () => {
    // That cgroups are of version 1, and what the kubelet stumbles over on this machine.
    const stumbles = /CgroupV1|InvalidDiskCapacity|NodeAllocatable/;
    // Containers that start anew do so when they do; an answer that is late is so on a machine that is too busy.
    const late = /starts-slowly.*(Killing|will be restarted)|timed out|deadline exceeded/;
    const missing = await nodes.missingAtLast(async () => {
      const [mine, real] = await Promise.all(both.map((name) => nodes.eventsOf(name)));
      return [...(real ?? [])].filter((each) => !stumbles.test(each) && !late.test(each) && !mine?.has(each));
    });
    expect(missing).toEqual([]);
  });

  const logs = 'containerLogs/default/pod-NODE';
  const same = [
    ...['', '?tailLines=1', '?tailLines=0', '?tailLines=-1', '?tailLines=x', '?tail=2', '?tail=all', '?limitBytes=5'],
    ...['?limitBytes=0', '?sinceSeconds=0', '?sinceSeconds=9&sinceTime=2020-01-01T00:00:00Z', '?sinceSeconds=3600'],
    ...['?sinceTime=2099-01-01T00:00:00Z', '?sinceTime=x', '?previous=true', '?previous=0&timestamps=false'],
    ...['?timestamps=true&tailLines=1&limitBytes=20', '?stream=x', '?stream=Stdout&tailLines=1'],
  ].map((query) => `/${logs}/main${query}`);
  const others = [
    ...[`/${logs}/crash?previous=true`, `/${logs}/none`, `/${logs}/init`, `/${logs}/nosuch`],
    ...['/containerLogs/default/nopod/main', '/containerLogs/default/pod-NODE', '/containerLogs/x/y/z/a'],
    ...['/healthz', '/healthz/log', '/healthz/device-plugin?verbose', '/healthz/nosuch', '/healthz?verbose'],
    ...['/healthz?verbose&exclude=log&exclude=nosuch&exclude=b', '/nosuch', '/spec', '/statusz', '/'],
    ...['/exec/default/nopod/main', '/exec/default/pod-NODE/main', '/attach/default/nopod/main?input=1'],
    ...['/portForward/default/nopod', '/run/default/pod-NODE/main?cmd=true', '/logs/no/such/file'],
  ];
  test.each([...same, ...others])('GET %s', async (path) => {
    await nodes.alike(async (name) => {
      const { status, text, headers } = await asked(name, path);
      const hides = status === 404 && /not found/i.test(text) ? 'not found' : text;
      // The kubelet says of no log what it is.
      const type = path.includes('containerLogs') ? '' : headers['content-type'];
      return plain({ status, text: hides.trim().replace(/^\d{4}-[^.]+\./, 'TIME'), type }, name);
    });
  });

  test('metrics that both have are told apart by the same labels and bounds; those that alerts and dashboards need are there', async () => {
    const differ: unknown[] = [];
    for (const path of ['/metrics', '/metrics/cadvisor', '/metrics/resource', '/metrics/probes', '/metrics/slis']) {
      const [mine = '', real = ''] = await Promise.all(both.map(async (name) => (await asked(name, path)).text));
      for (const read of [labelsOf, boundsOf]) {
        const theirOwn = read(real);
        for (const [name, own] of read(mine)) {
          const known = theirOwn.get(name);
          if (known && known.join() !== own.join()) differ.push([name, { berth: own, kubelet: known }]);
        }
      }
    }
    expect(differ).toEqual([]);
    const { text } = await asked(berth, '/metrics');
    const needed = [
      ...['kubelet_node_name', 'kubelet_running_pods', 'kubelet_running_containers', 'kubernetes_build_info'],
      ...['kubelet_runtime_operations_total', 'kubelet_runtime_operations_duration_seconds_bucket'],
      ...['rest_client_requests_total', 'rest_client_request_duration_seconds_bucket', 'kubelet_working_pods'],
      ...['process_resident_memory_bytes', 'process_cpu_seconds_total', 'process_start_time_seconds'],
      ...['kubelet_http_requests_total', 'kubelet_terminated_containers_total', 'kubelet_cgroup_version'],
      ...['kubelet_metrics_provider', 'dra_operations_duration_seconds_bucket'],
    ];
    for (const name of needed) expect(text).toMatch(new RegExp(`^${name}[{ ]`, 'm'));
  });

  /** What a value has, the elements of a list as one: `.pods[].containers[].cpu.time`. */
  const partsOf = (value: unknown, at = ''): readonly string[] => {
    if (Array.isArray(value)) return value.flatMap((each) => partsOf(each, `${at}[]`));
    if (typeof value !== 'object' || value === null) return [at];
    return Object.entries(value).flatMap(([key, each]) => partsOf(each, `${at}.${key}`));
  };

  test('/stats/summary has all that a kubelet tells there', async () => {
    const missing = await nodes.missingAtLast(async () => {
      const answers = await Promise.all(both.map((name) => asked(name, '/stats/summary')));
      const [mine, real] = answers.map(({ text }) => new Set(partsOf(JSON.parse(text))));
      // The time at which the pressure of a cgroup was read that has none.
      return [...(real ?? [])].filter((each) => !mine?.has(each) && !each.endsWith('.io.time'));
    });
    expect(missing).toEqual([]);
  });

  test('each flag of a kubelet is one of the agent', async () => {
    const nothing = (): Promise<void> => Promise.resolve();
    const { program } = buildProgram({ client: nothing, alone: nothing }, 'agent');
    const agent = program.commands.find((command) => command.name() === 'agent');
    const known = new Set(agent?.options.map(({ long }) => long));
    const help = await hostProgram([join(assetsDir, 'kubelet'), '--help']);
    const theirOwn = [...help.matchAll(/^ +(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name);
    expect(theirOwn.length).toBeGreaterThan(100);
    const ofProgram = ['--help', '--version'];
    expect(theirOwn.filter((name = '') => !known.has(name) && !ofProgram.includes(name))).toEqual([]);
  });

  test.each(Object.entries(metricsOfKubeletsOnly))('%s lacks only what means nothing here', async (path, lacking) => {
    const missing = await nodes.missingAtLast(async () => {
      const [mine, real] = await Promise.all(both.map(async (name) => labelsOf((await asked(name, path)).text)));
      // Errors are counted from the first one on, and each of the two has its own.
      const shown = [...(real?.keys() ?? [])].filter((name) => !name.endsWith('_errors_total'));
      return shown.filter((name) => !mine?.has(name) && !lacking.test(name.replace(/_(bucket|sum|count)$/, '')));
    });
    expect(missing).toEqual([]);
  });
});
