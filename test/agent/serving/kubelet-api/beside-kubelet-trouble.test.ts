import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Pod } from '../../../../agent/api/index.js';
import { sampleImage } from '../../agent-world.js';
import { stampedOf, typesOf, valuesOf } from './metric-labels.js';
import { hasRealKubelet } from './real-kubelet.js';
import { berth, both, ended, main, theirs, TwoNodes, waitsFor, type Case, type NodeName } from './two-nodes.js';
import { hasWholeCluster } from './whole-cluster.js';

const restarted = ({ status }: Pod): boolean => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0;
const runs = ({ status }: Pod): boolean => status?.containerStatuses?.[0]?.state?.running !== undefined;
const often = { periodSeconds: 1, failureThreshold: 2 };
const sleeps = 'exec sleep 100000';
const leaves = 'trap "exit 0" TERM; while :; do sleep 0.1; done';

/** Pods that go wrong, in the ways that people ask about. */
const cases: Readonly<Record<string, Case>> = {
  'says-why-it-crashes': {
    spec: { containers: [main('echo bye; exit 3', { terminationMessagePolicy: 'FallbackToLogsOnError' })] },
    until: restarted,
  },
  'writes-why-it-fails': {
    spec: { restartPolicy: 'Never', containers: [main('echo -n why > /dev/termination-log; exit 4')] },
    until: ended,
  },
  'is-killed': { spec: { restartPolicy: 'Never', containers: [main('kill -9 $$')] }, until: ended },
  'takes-too-much-memory': {
    spec: {
      restartPolicy: 'Never',
      containers: [main('x=a; while :; do x=$x$x$x; done', { resources: { limits: { memory: '16Mi' } } })],
    },
    until: ended,
  },
  'outlives-its-deadline': {
    // Long enough for both to have started it.
    spec: { activeDeadlineSeconds: 40, terminationGracePeriodSeconds: 30, containers: [main(leaves)] },
    until: ended,
  },
  'fills-its-volume': {
    spec: {
      terminationGracePeriodSeconds: 30,
      containers: [
        main('dd if=/dev/zero of=/e/x bs=1M count=5 2> /dev/null; exec sleep 100000', {
          volumeMounts: [{ name: 'e', mountPath: '/e' }],
        }),
      ],
      volumes: [{ name: 'e', emptyDir: { sizeLimit: '1Mi' } }],
    },
    until: ended,
  },
  'is-not-alive': {
    spec: {
      terminationGracePeriodSeconds: 30,
      containers: [
        main(leaves, { livenessProbe: { exec: { command: ['sh', '-c', 'echo unwell; exit 1'] }, ...often } }),
      ],
    },
    until: restarted,
  },
  'has-nobody-at-its-port': {
    spec: { containers: [main(sleeps, { readinessProbe: { httpGet: { port: 81, path: '/x' }, periodSeconds: 1 } })] },
    until: runs,
  },
  'listens-nowhere': {
    spec: { containers: [main(sleeps, { readinessProbe: { tcpSocket: { port: 81 }, periodSeconds: 1 } })] },
    until: runs,
  },
  'answers-too-late': {
    spec: { containers: [main(sleeps, { readinessProbe: { exec: { command: ['sleep', '30'] }, periodSeconds: 2 } })] },
    until: runs,
  },
  'cannot-begin': {
    spec: { initContainers: [{ ...main('exit 9'), name: 'first' }], containers: [main('true')] },
    until: ({ status }) => (status?.initContainerStatuses?.[0]?.restartCount ?? 0) > 0,
  },
  'is-a-job-with-a-sidecar': {
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 30,
      initContainers: [{ ...main(leaves, { restartPolicy: 'Always' }), name: 'side' }],
      containers: [main('sleep 1')],
    },
    until: ended,
  },
  'fails-in-its-hook': {
    spec: {
      containers: [main(sleeps, { lifecycle: { postStart: { exec: { command: ['sh', '-c', 'echo oh; exit 7'] } } } })],
    },
    until: restarted,
  },
  'has-no-image-name': {
    spec: { containers: [main('true', { image: 'x:::y' })] },
    until: waitsFor('InvalidImageName'),
  },
  'wants-a-missing-key': {
    spec: {
      containers: [main('true', { env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'some', key: 'no' } } }] })],
    },
    until: waitsFor('CreateContainerConfigError'),
  },
  'may-not-be-root': {
    spec: { containers: [main('true', { securityContext: { runAsNonRoot: true } })] },
    until: waitsFor('CreateContainerConfigError'),
  },
  'is-root-and-may-not': {
    spec: { containers: [main('true', { securityContext: { runAsNonRoot: true, runAsUser: 0 } })] },
    until: waitsFor('CreateContainerConfigError'),
  },
  'wants-too-much': { spec: { containers: [main('true', { resources: { requests: { cpu: '400' } } })] }, until: ended },
  'sets-the-kernel': {
    spec: { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] }, containers: [main('true')] },
    until: ended,
  },
  'is-for-another-system': { spec: { os: { name: 'windows' }, containers: [main('true')] }, until: ended },
  'has-a-gate': {
    spec: { readinessGates: [{ conditionType: 'example.com/ok' }], containers: [main(`echo some words; ${sleeps}`)] },
    until: runs,
  },
};

/** Those whose image is not pulled, or that come only where a machine is too busy to answer in time. */
const notOfBoth = /CgroupV1|InvalidDiskCapacity|NodeAllocatable|timed out|deadline exceeded|i\/o timeout/;

/** What of a kubelet's configuration has nothing to set here, and is not shown. */
const keysOfKubeletsOnly = [
  // The API server is spoken to in JSON and at the pace of its answers.
  ...['contentType', 'kubeAPIQPS', 'kubeAPIBurst', 'configMapAndSecretChangeDetectionStrategy'],
  // Nothing is done at a fixed pace, and images are pulled as many as may at once.
  ...['syncFrequency', 'registryPullQPS', 'registryBurst', 'maxOpenFiles'],
  // kube-proxy's and the network plugins' rules are theirs.
  ...['hairpinMode', 'iptablesDropBit', 'iptablesMasqueradeBit', 'makeIPTablesUtilChains'],
  ...['memoryThrottlingFactor', 'memoryReservationPolicy', 'logging', 'tlsCertFile', 'tlsPrivateKeyFile'],
];

describe.runIf(hasWholeCluster() && hasRealKubelet())('trouble beside a kubelet of the same version', () => {
  let nodes: TwoNodes;
  beforeAll(async () => {
    nodes = await TwoNodes.open();
    const some = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'some' }, data: { key: 'value' } };
    await nodes.whole.apply(some, ...nodes.podsOf(cases));
  });
  afterAll(async () => {
    await nodes?.[Symbol.asyncDispose]();
  });

  /** How often containers were started, how long the next start waits and which pods came first is each node's own pace. */
  const withoutPace = (told: unknown): unknown =>
    JSON.parse(
      JSON.stringify(told)
        .replaceAll(/"restartCount":\d+/g, '"restartCount":0')
        .replaceAll(/back-off [\dms]+ restarting/g, 'back-off restarting')
        .replaceAll(/used: \d+/g, 'used: some'),
    );

  test.each(Object.keys(cases))(
    'the status of a pod that %s',
    async (name) => {
      for (const node of both) {
        const look = async (): Promise<true | undefined> =>
          cases[name]?.until(await nodes.pod(node, name)) || undefined;
        await nodes.whole.until(`${name} of ${node}`, look, 200_000).catch(async (err: unknown) => {
          throw new Error(await nodes.kubelet.lastWords(), { cause: err });
        });
      }
      await nodes.alike(async (node) => withoutPace(await nodes.told(node, name)));
    },
    500_000,
  );

  test('events, in the same words', async () => {
    const missing = await nodes.missingAtLast(async () => {
      const [mine, real] = await Promise.all(both.map((name) => nodes.eventsOf(name)));
      return [...(real ?? [])].filter((each) => !notOfBoth.test(each) && !mine?.has(each));
    });
    expect(missing).toEqual([]);
  });

  test('a probe that got no answer in time, in the same words', async () => {
    const late = 'Readiness probe failed: command timed out: "sleep 30" timed out after 1s';
    for (const name of both) {
      const line = await nodes.whole.until(`${name} has told it`, async () =>
        [...(await nodes.eventsOf(name))].find((each) => each.includes('answers-too-late') && /Unhealthy/.test(each)),
      );
      expect(line).toContain(late);
    }
  });

  const logFolder = async (node: NodeName, name: string): Promise<string> => {
    const { metadata } = await nodes.pod(node, name);
    const folder = node === berth ? nodes.whole.world.config.paths.podLogsDir : nodes.kubelet.podLogsDir;
    return join(folder, `default_${metadata?.name}_${metadata?.uid}`);
  };

  test.each(['writes-why-it-fails', 'is-a-job-with-a-sidecar', 'has-a-gate'])(
    'the log of a pod that %s is where a kubelet puts it',
    async (name) => {
      await nodes.alike(async (node) => {
        const folder = await logFolder(node, name);
        const paths = (await readdir(folder, { recursive: true })).toSorted();
        const modeOf = async (path: string): Promise<string> => (await stat(join(folder, path))).mode.toString(8);
        return await Promise.all(paths.map(async (path) => `${path} ${await modeOf(path)}`));
      });
    },
  );

  test('lines of a log say when, from where and whether they are whole', async () => {
    await nodes.alike(async (node) => {
      const text = await readFile(join(await logFolder(node, 'has-a-gate'), 'main', '0.log'), 'utf8');
      return text
        .split('\n')
        .map((line) => line.replace(/^\d{4}(-\d\d){2}T(\d\d:){2}\d\d\.\d{9}(Z|\+00:00) /, 'TIME '));
    });
  });

  test('metrics of both are of the same type and say or do not say when they were counted; pods are told apart by the same values', async () => {
    const differ: unknown[] = [];
    for (const path of ['/metrics', '/metrics/cadvisor', '/metrics/resource', '/metrics/probes', '/metrics/slis']) {
      const [mine = '', real = ''] = await Promise.all(both.map(async (name) => (await nodes.asked(name, path)).text));
      for (const read of [typesOf, stampedOf]) {
        const theirOwn = read(real);
        for (const [name, own] of read(mine)) {
          const known = theirOwn.get(name);
          if (known !== undefined && known !== own) differ.push([name, { berth: own, kubelet: known }]);
        }
      }
    }
    expect(differ).toEqual([]);
    const [mine, real] = await Promise.all(both.map(async (name) => (await nodes.asked(name, '/metrics')).text));
    for (const [metric, label] of [
      ...['kubelet_desired_pods', 'kubelet_active_pods', 'kubelet_restarted_pods_total'].map((of) => [of, 'static']),
      ...['static', 'config', 'lifecycle'].map((of) => ['kubelet_working_pods', of]),
    ] as [string, string][])
      expect([metric, label, valuesOf(mine ?? '', metric, label)]).toEqual([
        ...[metric, label, valuesOf(real ?? '', metric, label)],
      ]);
  });

  test('/configz has all that is heeded', async () => {
    const keysAt = async (node: NodeName): Promise<string[]> => {
      const { kubeletconfig } = JSON.parse((await nodes.asked(node, '/configz')).text) as { kubeletconfig: object };
      return Object.keys(kubeletconfig);
    };
    const mine = new Set(await keysAt(berth));
    const missing = (await keysAt(theirs)).filter((key) => !mine.has(key));
    expect(missing.filter((key) => !keysOfKubeletsOnly.includes(key))).toEqual([]);
  });

  test('the lease of the node, and the containers of /pods', async () => {
    const path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    interface Lease {
      metadata: { ownerReferences?: readonly { kind: string; apiVersion: string }[] };
      spec: { leaseDurationSeconds?: number };
    }
    await nodes.alike(async (node) => {
      const { metadata, spec } = await nodes.get<Lease>(`${path}/${node}`);
      const owners = metadata.ownerReferences?.map(({ kind, apiVersion }) => ({ kind, apiVersion }));
      return { owners, seconds: spec.leaseDurationSeconds, keys: Object.keys(spec).toSorted() };
    });
    await nodes.alike(async (node) => {
      const { kind, apiVersion, items } = JSON.parse((await nodes.asked(node, '/pods')).text) as {
        kind: string;
        apiVersion: string;
        items: Pod[];
      };
      const shown = items.filter(({ metadata }) => metadata?.name === `has-a-gate-${node}`);
      const images = shown.map(({ spec, status }) => [spec?.containers[0]?.image, status?.phase]);
      return { kind, apiVersion, images };
    });
    expect((await nodes.pod(berth, 'has-a-gate')).spec?.containers[0]?.image).toBe(sampleImage);
  });
});
