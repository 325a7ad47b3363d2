import { expect, test } from 'vitest';
import type { Pod } from '../../api/index.js';
import type { PodExplanation, PodView } from '../../serving/node-api/index.js';
import { explain } from './explain.js';
import { progressOf } from './progress.js';

const now = Date.parse('2026-01-01T00:01:00Z');
const at = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`;

const pod: Pod = {
  metadata: { name: 'web', namespace: 'default', uid: 'u1' },
  spec: {
    restartPolicy: 'Always',
    initContainers: [
      { name: 'archive', image: 'a' },
      { name: 'reader', image: 'a', restartPolicy: 'Always' },
    ],
    containers: [{ name: 'server', image: 'b' }],
  },
  status: {
    phase: 'Pending',
    startTime: at(10),
    podIP: '10.87.0.5',
    conditions: [{ type: 'PodReadyToStartContainers', status: 'True', lastTransitionTime: at(11) }],
    initContainerStatuses: [
      {
        name: 'archive',
        image: '',
        imageID: '',
        ready: true,
        restartCount: 0,
        state: { terminated: { exitCode: 0, finishedAt: at(12) } },
      },
      {
        name: 'reader',
        image: '',
        imageID: '',
        ready: true,
        restartCount: 0,
        started: true,
        state: { running: { startedAt: at(13) } },
      },
    ],
    containerStatuses: [
      {
        name: 'server',
        image: '',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: { waiting: { reason: 'ImagePullBackOff' } },
      },
    ],
  },
};

const view: PodView = {
  pod,
  source: 'file',
  manifest: 'samples/web.yaml',
  progress: {},
  waits: [
    {
      step: 'ensure-image',
      object: 'image b:1',
      container: 'server',
      since: now - 40_000,
      attempt: 3,
      lastError: { reason: 'ErrImagePull', message: 'reading manifest 1 in registry/b: manifest unknown' },
      nextTry: now + 20_000,
    },
  ],
};

const about = (change: Partial<PodExplanation>): PodExplanation => ({
  view,
  now,
  sourcesSynced: true,
  runtime: { ready: true, message: '' },
  network: { ready: true, message: '' },
  events: [
    {
      metadata: { name: 'e' },
      involvedObject: {},
      type: 'Warning',
      reason: 'Failed',
      message: 'Failed to pull image',
      lastTimestamp: at(40),
      count: 3,
    },
  ],
  calls: [
    {
      id: 7,
      call: { interface: 'image', plugin: 'skopeo', verb: 'copy', subject: {}, request: { argv: ['skopeo', 'copy'] } },
      startedAt: now - 20_000,
      durationMs: 412,
      outcome: { error: { code: 'exited', message: 'exited with 1: manifest unknown' } },
    },
  ],
  manifests: [],
  ...change,
});

test('a pod that waits for its image, as a chain', () => {
  expect(explain('default', 'web', about({}))).toBe(`\
Pod default/web is ImagePullBackOff: it is not there yet
  from samples/web.yaml: 1 init container, 1 sidecar, 1 container, restart policy Always

How far it got:
  ✓ accepted by the node  (50s ago)
  ✓ volumes mounted and network ready, address 10.87.0.5  (49s ago)
  ✓ init container archive: completed  (48s ago)
  ✓ sidecar reader: running  (47s ago)
  ✗ container server: ImagePullBackOff
  · ready

What it waits for:
  getting the image: image b:1 for container server, since 40s, try 3
    ErrImagePull: reading manifest 1 in registry/b: manifest unknown
    tried again in 20s

The last call that failed:
  image skopeo copy, 20s ago, took 412 ms  (berth trace --verbose shows all of it as #7)
    asked: {"argv":["skopeo","copy"]}
    exited: exited with 1: manifest unknown

What happened last:
     20s ago  ! Failed: Failed to pull image (3 times)

What would help:
  → the registry answers and does not have this image: check its name and tag, or import it with: berth images import FILE
`);
});

test('a container that backs off after its postStart hook failed: what the hook printed', () => {
  const wait: PodView['waits'][number] = {
    ...{ step: 'restart-back-off', object: 'container server', container: 'server', since: now - 5000, attempt: 2 },
    lastError: { reason: 'CrashLoopBackOff', message: 'back-off 10s restarting failed container=server' },
    cause: {
      reason: 'PostStartHookError',
      message: "run postStart hook of server: command 'sh' exited with 7: no such luck\nno such day",
    },
    nextTry: now + 5000,
  };
  expect(explain('default', 'web', about({ view: { ...view, waits: [wait] } }))).toContain(`\
What it waits for:
  the next restart: container server, since 5s, try 2
    CrashLoopBackOff: back-off 10s restarting failed container=server
    PostStartHookError: run postStart hook of server: command 'sh' exited with 7: no such luck
    no such day
`);
});

test('a call to a storage driver that does not end says which volume it is for', () => {
  const call = {
    interface: 'csi',
    plugin: 'disks.example.com',
    verb: 'NodeStageVolume',
    subject: { object: 'pv-1' },
  } as const;
  const text = explain(
    'default',
    'web',
    about({ calls: [{ id: 9, call, startedAt: now - 14_000, durationMs: undefined, outcome: undefined }] }),
  );
  expect(text).toContain(
    'A call under way:\n  csi disks.example.com NodeStageVolume for volume pv-1, 14s ago, runs for 14.0 s',
  );
});

test('no pod: the manifest that names it says why', () => {
  const report = {
    file: 'pods/web.yaml',
    ok: false,
    objects: [],
    problems: [
      {
        code: 'unknown-field' as const,
        path: 'spec.contaners',
        line: 5,
        column: 3,
        message: 'unknown field',
        object: 'Pod default/web',
      },
    ],
  };
  const text = explain('default', 'web', about({ view: undefined, manifests: [report], events: [], calls: [] }));
  expect(text).toContain('There is no pod default/web on this node.');
  expect(text).toContain(
    'pods/web.yaml cannot be used as it is:\n  5:3: Pod default/web: spec.contaners: unknown field',
  );
});

test('only the place where the pod is, is now', () => {
  const fresh: Pod = { ...pod, status: { phase: 'Pending', startTime: at(10) } };
  expect(progressOf(fresh).map(({ mark, text }) => `${mark} ${text}`)).toEqual([
    'done accepted by the node',
    'now volumes and network',
    'later init container archive: not started',
    'later sidecar reader: not started',
    'later container server: not started',
    'later ready',
  ]);
});

test.each([
  ['Succeeded', 0, ['done container server: completed', 'done completed']],
  ['Failed', 3, ['failed container server: ended with exit code 3 (Error)', 'failed failed']],
] as const)('a pod that is over (%s) waits for nothing of what it had', (phase, exitCode, last) => {
  const ended: Pod = {
    ...pod,
    spec: { containers: [{ name: 'server', image: 'a:1' }] },
    status: {
      phase,
      startTime: at(10),
      conditions: [{ type: 'PodReadyToStartContainers', status: 'False' }],
      containerStatuses: [
        { name: 'server', image: '', imageID: '', ready: false, restartCount: 0, state: { terminated: { exitCode } } },
      ],
    },
  };
  expect(progressOf(ended).map(({ mark, text }) => `${mark} ${text}`)).toEqual([
    'done accepted by the node',
    'done volumes and network were ready; they are given back',
    ...last,
  ]);
});

test('a rejected pod says why and nothing else', () => {
  const rejected: Pod = { ...pod, status: { phase: 'Failed', reason: 'OutOfcpu', message: 'Pod was rejected: ...' } };
  expect(progressOf(rejected)).toEqual([{ mark: 'failed', text: 'OutOfcpu: Pod was rejected: ...', at: undefined }]);
});

test('trouble with the cluster is told beside the pod, and where there is no pod', () => {
  const cluster = ['the cluster at https://10.0.0.1 cannot be used: connect to 10.0.0.1:443: ECONNREFUSED'];
  const told = `Between this node and its cluster:\n  ${cluster[0]}\n`;
  expect(explain('default', 'web', about({ cluster }))).toContain(told);
  expect(explain('default', 'web', about({ cluster, view: undefined }))).toContain(told);
  expect(explain('default', 'web', about({ cluster: [] }))).not.toContain('cluster');
});

test('a pod the node did not take: what would let it in', () => {
  const rejected: Pod = { ...pod, status: { phase: 'Failed', reason: 'NodePorts', message: 'no free ports' } };
  const text = explain('default', 'web', about({ view: { ...view, pod: rejected, waits: [] } }));
  expect(text).toMatch(/What would help:\n {2}→ another pod of this node has the host port/);
});
