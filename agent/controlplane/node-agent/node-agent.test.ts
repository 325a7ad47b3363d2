import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Clock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import type { Lease, Node, NodeStatus } from '../../api/index.js';
import { Recovery } from '../recovery.js';
import { NodeAgent } from './node-agent.js';

/** A server that takes everything, and remembers when. */
let node: Node | undefined;
let written: { at: number; status: NodeStatus }[];
let leases: { at: number; lease: Lease }[];
let volumesInUse: string[];
let csiNodesServed: boolean;
let isAway: boolean;
let recovery: Recovery;
let status: NodeStatus;
let began: number;
let changed: () => void;
let agent: NodeAgent;

/** By the timers that the test turns. */
const clock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      setTimeout(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      signal.addEventListener('abort', onAbort, { once: true });
    }),
};

const options = {
  nodeName: 'n',
  labels: { rack: 'r1' },
  annotations: {},
  taints: [{ key: 'new', effect: 'NoSchedule' as const }],
  providerId: undefined,
  unschedulable: false,
  madeAnew: false,
  register: true,
  statusEveryMs: 10_000,
  reportEveryMs: 300_000,
  leaseSeconds: 40,
};
const ready = (message: string): NodeStatus => ({
  conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message }],
});
const seconds = (): number => Math.round((Date.now() - began) / 1000);

beforeEach(() => {
  vi.useFakeTimers();
  [node, written, leases, volumesInUse, status, began] = [undefined, [], [], [], ready('fine'), Date.now()];
  [csiNodesServed, isAway, recovery] = [true, false, new Recovery()];
  const away = (): Promise<never> => Promise.reject(new Error('away'));
  const watchers = new Set<() => void>();
  const keep = (next: Node): Promise<Node> => {
    node = { ...next, metadata: { ...next.metadata, uid: node?.metadata?.uid ?? `uid-${Date.now()}` } };
    return Promise.resolve(node);
  };
  agent = new NodeAgent(options, {
    controlPlane: {
      get volumesInUse() {
        return volumesInUse;
      },
      get: (kind) => Promise.resolve((kind === 'Node' ? node : csiNodesServed ? {} : undefined) as never),
      watch: (_kind, _namespace, _name, onChange) => {
        watchers.add(onChange);
        return { [Symbol.dispose]: () => void watchers.delete(onChange) };
      },
      registerNode: keep,
      writeNodeStatus: (next) => {
        written.push({ at: seconds(), status: next.status ?? {} });
        return isAway ? away() : keep(next);
      },
      renewLease: (lease) => {
        leases.push({ at: seconds(), lease });
        return isAway ? away() : Promise.resolve(lease);
      },
      onRecovery: (listener) => recovery.onRecovery(listener),
      writeCsiNode: () => (csiNodesServed ? Promise.resolve() : Promise.reject(new Error('csinodes is forbidden'))),
    },
    source: {
      read: () => Promise.resolve(status),
      onChange: (listener) => {
        changed = listener;
        return { [Symbol.dispose]: () => {} };
      },
    },
    clock,
    log: silentLogger,
    random: () => 0,
  });
  agent.start();
});
afterEach(async () => {
  await agent[Symbol.asyncDispose]();
  vi.useRealTimers();
});

test('the lease is renewed every 10 s; a status that stays is written every 5 min, one that changes at once', async () => {
  await vi.advanceTimersByTimeAsync(61_000);
  expect(leases.map(({ at }) => at)).toEqual([0, 10, 20, 30, 40, 50, 60]);
  expect(leases[0]?.lease).toMatchObject({
    metadata: { ownerReferences: [{ kind: 'Node', name: 'n', uid: node?.metadata?.uid }] },
    spec: { holderIdentity: 'n', leaseDurationSeconds: 40 },
  });
  expect(written.map(({ at }) => at)).toEqual([0]);
  status = ready('something new');
  changed();
  await vi.advanceTimersByTimeAsync(0);
  expect(written.map(({ at }) => at)).toEqual([0, 61]);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(written.map(({ at }) => at)).toEqual([0, 61, 361, 661]);
});

test('it registers with its labels and taints, and tells what it declares and which volumes it uses', async () => {
  await vi.advanceTimersByTimeAsync(1000);
  expect(node).toMatchObject({ metadata: { labels: { rack: 'r1' } }, spec: { taints: [{ key: 'new' }] } });
  expect(written[0]?.status).toMatchObject({
    declaredFeatures: expect.arrayContaining(['RestartAllContainersOnContainerExits']),
    volumesInUse: [],
  });
  volumesInUse = ['kubernetes.io/csi/d^v'];
  await vi.advanceTimersByTimeAsync(10_000);
  expect(written.at(-1)).toMatchObject({ at: 10, status: { volumesInUse: ['kubernetes.io/csi/d^v'] } });
  // Told by itself when it was mounted, and gone again before the next round.
  volumesInUse = [];
  node = { ...node, status: { ...node?.status, volumesInUse: ['kubernetes.io/csi/d^other'] } };
  await vi.advanceTimersByTimeAsync(10_000);
  expect(written.at(-1)).toMatchObject({ at: 20, status: { volumesInUse: [] } });
});

test('what somebody else changed of its status is written again; a node object that is gone is made again', async () => {
  await vi.advanceTimersByTimeAsync(1000);
  node = { ...node, status: { conditions: [{ type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown' }] } };
  await vi.advanceTimersByTimeAsync(10_000);
  expect(written.map(({ at }) => at)).toEqual([0, 10]);
  node = undefined;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(node).toMatchObject({ metadata: { name: 'n' } });
});

test('a node of which no CSINode can be made is not ready and says why; it goes on to tell of itself', async () => {
  await vi.advanceTimersByTimeAsync(1000);
  csiNodesServed = false;
  node = undefined;
  await vi.advanceTimersByTimeAsync(11_000);
  const shown = (): unknown => written.at(-1)?.status.conditions?.find(({ type }) => type === 'Ready');
  const message = 'CSINode is not yet initialized: csinodes is forbidden';
  expect(shown()).toMatchObject({ status: 'False', reason: 'KubeletNotReady', message });
  status = ready('something new');
  changed();
  await vi.advanceTimersByTimeAsync(0);
  const both = written.length;
  csiNodesServed = true;
  await vi.advanceTimersByTimeAsync(11_000);
  expect(shown()).toMatchObject({ status: 'True', message: 'something new' });
  expect(written.length).toBe(both + 1);
});

test('what failed is tried again as soon as something else gets through, and is then no problem any more', async () => {
  await vi.advanceTimersByTimeAsync(59_000);
  isAway = true;
  status = ready('something new');
  await vi.advanceTimersByTimeAsync(41_000);
  expect(agent.problem).toBe('node status could not be written: away');
  const [tries, renewals] = [written.length, leases.length];
  await vi.advanceTimersByTimeAsync(500);
  expect([written.length, leases.length]).toEqual([tries, renewals]);
  isAway = false;
  recovery.announce();
  await vi.advanceTimersByTimeAsync(0);
  expect([written.length, leases.length]).toEqual([tries + 1, renewals + 1]);
  expect(agent.problem).toBe('');
  // All is well: nobody is woken for nothing.
  recovery.announce();
  await vi.advanceTimersByTimeAsync(0);
  expect([written.length, leases.length]).toEqual([tries + 1, renewals + 1]);
});
