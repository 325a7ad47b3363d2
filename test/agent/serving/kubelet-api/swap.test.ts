import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ContainerStatus, Event, Pod } from '../../../../agent/api/index.js';
import { hasRealKubelet } from './real-kubelet.js';
import { SwappedNode, type Program } from './swapped-node.js';
import { ended, isReady, main, waitsFor } from './two-nodes.js';
import { hasWholeCluster } from './whole-cluster.js';

const stay = 'exec sleep 100000';
const emptyDir = { name: 'e', emptyDir: {} };
const atE = { volumeMounts: [{ name: 'e', mountPath: '/e' }] };
/** How often it was started is in its volume; after the first time it ends when it is told to. */
const counting = [
  'n=$(cat /e/starts 2>/dev/null || echo 0); echo $((n + 1)) > /e/starts; echo start $n',
  '[ $n = 0 ] && exit 1',
  'until [ -e /e/end ]; do sleep 0.2; done; rm /e/end; exit 3',
].join('\n');
const probe = (file: string): object => ({
  ...{ exec: { command: ['cat', file] }, periodSeconds: 1 },
  // Not luck: the machine may be busy.
  timeoutSeconds: 30,
});

const pods: Readonly<Record<string, { spec: object; until: (pod: Pod) => boolean | undefined }>> = {
  'two-containers': {
    spec: { containers: [main(`echo one; ${stay}`), { ...main(`echo two; ${stay}`), name: 'other' }] },
    until: isReady,
  },
  'init-and-sidecar': {
    spec: {
      initContainers: [
        { ...main('echo done'), name: 'init' },
        { ...main(`echo aside; ${stay}`, { restartPolicy: 'Always' }), name: 'side' },
      ],
      containers: [main(stay)],
    },
    until: isReady,
  },
  volumes: {
    spec: {
      serviceAccountName: 'default',
      containers: [
        main(`echo kept > /e/file; ${stay}`, {
          volumeMounts: [
            ...atE.volumeMounts,
            { name: 'm', mountPath: '/m', subPath: 'm' },
            { name: 'c', mountPath: '/c' },
            { name: 't', mountPath: '/t' },
          ],
        }),
      ],
      volumes: [
        emptyDir,
        { name: 'm', emptyDir: { medium: 'Memory' } },
        { name: 'c', configMap: { name: 'settings' } },
        { name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
      ],
    },
    until: isReady,
  },
  probed: {
    spec: {
      containers: [
        main(`touch /e/ready /e/alive; ${stay}`, {
          ...atE,
          readinessProbe: { ...probe('/e/ready'), failureThreshold: 1 },
          livenessProbe: { ...probe('/e/alive'), initialDelaySeconds: 2 },
          resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
        }),
      ],
      volumes: [emptyDir],
    },
    until: isReady,
  },
  restarted: {
    spec: { containers: [main(counting, atE)], volumes: [emptyDir] },
    until: (pod) => isReady(pod) && pod.status?.containerStatuses?.[0]?.restartCount === 1,
  },
  completed: { spec: { restartPolicy: 'Never', containers: [main('echo over')] }, until: ended },
};
/** A pod that one makes and the other one takes away. */
const madeBy = (program: Program) => `made-by-${program}`;
const withVolumes = {
  spec: { ...pods['volumes']?.spec, initContainers: [{ ...main('true'), name: 'init' }] },
  until: isReady,
};

const containersOf = ({ status }: Pod): readonly ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
];

/** Ends when it is told to by a file, and not by a signal. */
const stubborn = 'trap "touch /e/told" TERM; touch /e/up; until [ -e /e/end ]; do sleep 0.2; done';

/**
 * What a change of the program may not touch: a Ready that went and came back has another time. A kubelet that starts anew forgets the
 * addresses of a pod that is over, and on cgroup v1 it takes the largest number that the kernel has for a limit of the pod.
 */
const kept = (pod: Pod): unknown => {
  const { podIP, podIPs, resources: _, conditions = [], ...status } = pod.status ?? {};
  // The API server shows a time of which nobody told as null.
  const own = conditions.map(({ lastProbeTime: _never, ...condition }) => condition);
  return { uid: pod.metadata?.uid, ...status, conditions: own, ...(!ended(pod) && { podIP, podIPs }) };
};

describe.runIf(hasWholeCluster() && hasRealKubelet())(
  'a node goes over from a kubelet to berth, and back',
  () => {
    let node: SwappedNode;
    beforeAll(async () => {
      node = await SwappedNode.open();
      await node.create('serviceaccounts', { kind: 'ServiceAccount', metadata: { name: 'default' } });
      await node.create('configmaps', { kind: 'ConfigMap', metadata: { name: 'settings' }, data: { key: 'start' } });
      await node.handOver('kubelet');
      for (const [name, { spec }] of Object.entries(pods)) await create(name, spec);
      await create(madeBy('kubelet'), withVolumes.spec);
      for (const [name, { until }] of [...Object.entries(pods), [madeBy('kubelet'), withVolumes] as const])
        await node.until(name, async () => until(await node.pod(name)) || undefined);
    });
    afterAll(async () => {
      await node?.[Symbol.asyncDispose]();
    });

    const create = async (name: string, spec: object): Promise<void> => {
      const usual = { terminationGracePeriodSeconds: 1, automountServiceAccountToken: false };
      await node.create('pods', {
        kind: 'Pod',
        metadata: { name },
        spec: { nodeName: node.nodeName, ...usual, ...spec },
      });
    };

    /** How often what was told of them. */
    const eventsOf = async (names: readonly string[]): Promise<readonly string[]> => {
      const { items } = (await node.cluster.api('GET', '/api/v1/namespaces/default/events')).body as { items: Event[] };
      return items
        .filter(({ involvedObject }) => names.includes(involvedObject.name ?? ''))
        .map(({ involvedObject, reason, message, count }) => `${involvedObject.name} ${count} ${reason} ${message}`)
        .toSorted();
    };

    const ofAll = async (names: readonly string[]): Promise<unknown> =>
      Object.fromEntries(await Promise.all(names.map(async (name) => [name, kept(await node.pod(name))])));

    /** What the node's own program says of its pods. */
    const toldByNode = async (names: readonly string[]): Promise<readonly Pod[] | undefined> => {
      const answer = await node.asked('/pods').catch(() => undefined);
      if (answer?.status !== 200) return undefined;
      const { items } = JSON.parse(answer.text) as { items: Pod[] | null };
      const own = (items ?? []).filter((pod) => names.includes(pod.metadata?.name ?? ''));
      return own.filter(({ status }) => status?.phase).length === names.length ? own : undefined;
    };

    const fileIsThere = async (name: string, path: string): Promise<void> => {
      const look = async (): Promise<true | undefined> =>
        (await node.shell(name, 'main', `ls ${path} || true`)) === `${path}\n` || undefined;
      await node.until(`${path} of ${name}`, look);
    };

    const logHas = async (path: string, text: string): Promise<void> => {
      let said: unknown;
      const look = async (): Promise<true | undefined> => {
        said = await node.asked(`/containerLogs/default/${path}`);
        return isDeepStrictEqual(said, { ...(said as object), status: 200, text }) || undefined;
      };
      await node.until(`the log of ${path}`, look).catch(() => expect(said).toMatchObject({ status: 200, text }));
    };

    const takenAway = async (pod: Pod): Promise<void> => {
      const path = `/api/v1/namespaces/default/pods/${pod.metadata?.name}`;
      await node.until('it is gone', async () => ((await node.cluster.find(path)) === undefined ? true : undefined));
      let left: readonly string[] | undefined;
      const look = async (): Promise<true | undefined> =>
        (left = await node.tracesOf(pod)).length === 0 ? true : undefined;
      await node.until('nothing is left', look).catch(() => expect(left).toEqual([]));
    };

    describe.each<[Program, Program]>([
      ['kubelet', 'berth'],
      ['berth', 'kubelet'],
    ])('from %s to %s', (from, to) => {
      const ending = `ends-under-${to}`;
      const waiting = `waits-for-${to}`;

      test('its pods run on as they are', async () => {
        await create(ending, {
          ...{ terminationGracePeriodSeconds: 600, volumes: [emptyDir] },
          containers: [main(stubborn, atE)],
        });
        await create(waiting, { containers: [main(stay, { envFrom: [{ configMapRef: { name: waiting } }] })] });
        await node.until(ending, async () => isReady(await node.pod(ending)) || undefined);
        await fileIsThere(ending, '/e/up');
        await node.until(
          waiting,
          async () => waitsFor('CreateContainerConfigError')(await node.pod(waiting)) || undefined,
        );
        await node.cluster.api('DELETE', `/api/v1/namespaces/default/pods/${ending}`);
        await fileIsThere(ending, '/e/told');
        const names = [...Object.keys(pods), madeBy(from)];
        // Of a container that started in the last ten seconds a kubelet that starts does not believe that it is ready.
        await node.until('no container is young', async () => {
          const all = (await Promise.all(names.map((name) => node.pod(name)))).flatMap(containersOf);
          const youngest = Math.max(...all.map(({ state }) => Date.parse(state?.running?.startedAt ?? '') || 0));
          return Date.now() - youngest > 12_000 || undefined;
        });
        const before = await ofAll(names);
        const events = await eventsOf(names);
        const runs = await node.inRuntime(names);
        await node.handOver(to);
        await create(madeBy(to), withVolumes.spec);
        await node.until(`a pod of ${to}`, async () => isReady(await node.pod(madeBy(to))) || undefined);
        const told = await node.until(`${to} tells of its pods`, () => toldByNode(names));
        expect(Object.fromEntries(told.map((pod) => [pod.metadata?.name, kept(pod)]))).toEqual(before);
        expect(await ofAll(names)).toEqual(before);
        expect(await eventsOf(names)).toEqual(events);
        expect(await node.inRuntime(names)).toEqual(runs);
      });

      test('a pod that was being taken away is taken away', async () => {
        const pod = await node.pod(ending);
        await node.shell(ending, 'main', 'touch /e/end');
        await takenAway(pod);
      });

      test('a pod that waited for what there was not starts when it is there', async () => {
        await node.create('configmaps', { kind: 'ConfigMap', metadata: { name: waiting }, data: { key: 'value' } });
        await node.until(waiting, async () => isReady(await node.pod(waiting)) || undefined);
      });

      test('a changed ConfigMap arrives, what volumes held is there, and a token for who they run as', async () => {
        await node.cluster.api('PUT', '/api/v1/namespaces/default/configmaps/settings', {
          ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' } },
          data: { key: `of ${to}` },
        });
        for (const name of ['volumes', madeBy(from)]) {
          await node.until(`${name} sees the change`, async () => {
            return (await node.shell(name, 'main', 'cat /c/key')) === `of ${to}` || undefined;
          });
          expect(await node.shell(name, 'main', 'cat /e/file')).toBe('kept\n');
          const [, claims = ''] = (await node.shell(name, 'main', 'cat /t/token')).split('.');
          expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
            sub: 'system:serviceaccount:default:default',
          });
        }
      });

      test.each([
        ['two-containers/main', 'one\n'],
        ['two-containers/other', 'two\n'],
        ['init-and-sidecar/init', 'done\n'],
        ['init-and-sidecar/side', 'aside\n'],
        ['completed/main', 'over\n'],
      ])('the log of %s', async (path, text) => {
        await logHas(path, text);
      });

      test('a probe that fails and holds again is told', async () => {
        await node.shell('probed', 'main', 'rm /e/ready');
        await node.until('not ready', async () => !isReady(await node.pod('probed')) || undefined);
        await node.shell('probed', 'main', 'touch /e/ready');
        await node.until('ready', async () => isReady(await node.pod('probed')) || undefined);
        expect((await node.pod('probed')).status?.containerStatuses?.[0]?.restartCount).toBe(0);
      });

      test('a container that ends is started anew, and its count goes on', async () => {
        const restarts = async (): Promise<number> =>
          (await node.pod('restarted')).status?.containerStatuses?.[0]?.restartCount ?? 0;
        const before = await restarts();
        expect(before).toBeGreaterThan(0);
        await logHas('restarted/main', `start ${before}\n`);
        await logHas('restarted/main?previous=true', `start ${before - 1}\n`);
        await node.shell('restarted', 'main', 'touch /e/end');
        await node.until('it starts anew', async () => {
          return ((await restarts()) === before + 1 && isReady(await node.pod('restarted'))) || undefined;
        });
        await logHas('restarted/main', `start ${before + 1}\n`);
      });

      test(`a pod that was made under ${from} is taken away whole`, async () => {
        const pod = await node.pod(madeBy(from));
        expect(await node.tracesOf(pod)).not.toEqual([]);
        await node.cluster.api('DELETE', `/api/v1/namespaces/default/pods/${madeBy(from)}`);
        await takenAway(pod);
      });
    });
  },
  300_000,
);
