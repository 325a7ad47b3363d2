import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import type { Node, Pod, PodUid } from '../api/index.js';
import { parseMicroseconds, parsePrepareForShutdown, type Logind, type ShutdownWatch } from './logind.js';
import { NodeShutdown } from './node-shutdown.js';
import { nodeToldOfShutdown } from './node-told.js';
import { groupPods, shutdownGroups } from './shutdown-groups.js';

const pod = (name: string, priority?: number, grace?: number): Pod => ({
  metadata: { name, uid: name },
  spec: { containers: [], priority, terminationGracePeriodSeconds: grace },
});
const critical = 2_000_000_000;

test.each([
  ['off', { periodMs: 0, criticalMs: 0, byPriority: [] }, []],
  [
    'two groups',
    { periodMs: 30_000, criticalMs: 10_000, byPriority: [] },
    [
      [0, 20_000, ['low', 'negative', 'mid']],
      [critical, 10_000, ['high']],
    ],
  ],
  [
    'by priority, in any order',
    {
      periodMs: 0,
      criticalMs: 0,
      byPriority: [
        { priority: 1000, periodMs: 5 },
        { priority: 10, periodMs: 3 },
      ],
    },
    [
      [10, 3, ['low', 'negative']],
      [1000, 5, ['mid', 'high']],
    ],
  ],
])('groups: %s', (_name, settings, expected) => {
  const pods = [pod('low', 0), pod('negative', -7), pod('mid', 1000), pod('high', critical)];
  const groups = groupPods(pods, shutdownGroups(settings));
  expect(
    groups.map(({ priority, periodMs, pods: own }) => [priority, periodMs, own.map((each) => each.metadata?.name)]),
  ).toEqual(expected);
});

test('a pod of a manifest goes with its priority: that nothing evicts it does not make it one of the last to go', () => {
  const ofFile = (name: string, priority?: number): Pod => ({
    ...pod(name, priority),
    metadata: { name, uid: name, annotations: { 'kubernetes.io/config.source': 'file' } },
  });
  const pods = [ofFile('web'), ofFile('etcd', critical + 1000)];
  const groups = groupPods(pods, shutdownGroups({ periodMs: 30_000, criticalMs: 10_000, byPriority: [] }));
  expect(groups.map(({ periodMs, pods: own }) => [periodMs, own.map((each) => each.metadata?.name)])).toEqual([
    [20_000, ['web']],
    [10_000, ['etcd']],
  ]);
});

test('what logind says', () => {
  const line = (data: unknown): string =>
    JSON.stringify({ type: 'signal', member: 'PrepareForShutdown', payload: { type: 'b', data: [data] } });
  expect(parsePrepareForShutdown(line(true))).toBe(true);
  expect(parsePrepareForShutdown(line(false))).toBe(false);
  expect(parsePrepareForShutdown('{"member":"NameAcquired"}')).toBeUndefined();
  expect(parsePrepareForShutdown('garbage')).toBeUndefined();
  expect(parseMicroseconds('t 5000000\n')).toBe(5000);
});

/** A watch that tells of these, and then calls `end`. */
const watchOf = (begins: readonly boolean[], end: () => void): ShutdownWatch => ({
  async *[Symbol.asyncIterator]() {
    yield* begins;
    await Promise.resolve();
    end();
  },
  [Symbol.dispose]() {},
});

/** When the last shutdown began and ended, s, as metrics tell. */
const timesOf = ({ counts }: NodeShutdown): number[] =>
  counts.flatMap((each) => each.snapshot().values.map(({ value }) => value));

let rootDir: string;
beforeEach(async () => {
  rootDir = await mkdtemp(join(tmpdir(), 'berth-shutdown-'));
});
afterEach(() => rm(rootDir, { recursive: true }));

test('a shutdown waits until pods have ended, low priority first; called off, it is held up again', async () => {
  const happened: string[] = [];
  let now = 0;
  const alive = new Set(['web', 'db', 'stuck', 'dns']);
  const stop = new AbortController();
  let delay = 5000;
  const logind: Logind = {
    maxDelayMs: () => Promise.resolve(delay),
    raiseMaxDelay: (ms) => {
      happened.push(`delay ${ms}`);
      delay = ms;
      return Promise.resolve();
    },
    inhibit: () => {
      happened.push('inhibit');
      return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve(void happened.push('release')) });
    },
    watch: () => {
      happened.push('watch');
      return Promise.resolve(watchOf([true, false], () => stop.abort()));
    },
  };
  const pods = [pod('dns', critical, 5), pod('web', 0, 60), pod('db', 0, 3), pod('stuck', 0, 30)];
  const shutdown: NodeShutdown = new NodeShutdown(
    shutdownGroups({ periodMs: 30_000, criticalMs: 10_000, byPriority: [] }),
    {
      clock: {
        now: () => now,
        sleep: (ms) => {
          now += ms;
          return Promise.resolve();
        },
      },
      log: silentLogger,
      node: { kind: 'Node', name: 'n' },
      events: { record: (_object, _type, reason) => void happened.push(reason) },
      logind,
      rootDir,
      activePods: () => pods,
      terminate: (uid: PodUid, { graceSeconds, status }) => {
        happened.push(`end ${uid} ${graceSeconds} ${status?.reason} at ${now}`);
        if (uid !== 'stuck') alive.delete(uid);
      },
      isCleanedUp: (uid) => !alive.has(uid),
      statusChanged: () => Promise.resolve(void happened.push(`status ${shutdown.shuttingDown}`)),
    },
  );
  await shutdown.run(stop.signal);
  expect(happened).toEqual([
    'delay 30000',
    'watch',
    'inhibit',
    'Shutdown',
    'status true',
    'end web 20 Terminated at 100',
    'end db 3 Terminated at 100',
    'end stuck 20 Terminated at 100',
    'end dns 5 Terminated at 20100',
    'release',
    'Shutdown',
    'inhibit',
    'status false',
    'release',
  ]);
  expect(JSON.parse(await readFile(join(rootDir, 'graceful_node_shutdown_state'), 'utf8'))).toEqual({
    startTime: '1970-01-01T00:00:00Z',
    endTime: '1970-01-01T00:00:20Z',
  });
  expect(timesOf(shutdown)).toEqual([0.1, 20.1]);
});

test('a logind that does not let a shutdown wait that long is told of, and the time there is is used', async () => {
  const happened: string[] = [];
  let now = 0;
  const stop = new AbortController();
  const unused = (): never => {
    throw new Error('nothing of this is asked for');
  };
  const shutdown = new NodeShutdown(shutdownGroups({ periodMs: 30_000, criticalMs: 0, byPriority: [] }), {
    clock: { now: () => now, sleep: (ms) => Promise.resolve(void (now += ms)) },
    log: { ...silentLogger, warn: (fields, message) => void happened.push(message, JSON.stringify(fields)) },
    node: { kind: 'Node', name: 'n' },
    events: { record: unused },
    logind: {
      maxDelayMs: () => Promise.resolve(5000),
      raiseMaxDelay: () => Promise.resolve(),
      inhibit: () => Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve(void happened.push('release')) }),
      watch: () => Promise.resolve(watchOf([], () => stop.abort())),
    },
    rootDir,
    ...{ activePods: unused, terminate: unused, isCleanedUp: unused, statusChanged: unused },
  });
  await shutdown.run(stop.signal);
  expect(happened).toEqual([
    expect.stringContaining('less time than pods are promised'),
    '{"wantedMs":30000,"isMs":5000}',
    'release',
  ]);
});

test('pods are not told to end before the control plane knows; one that does not answer holds nothing up', async () => {
  const happened: string[] = [];
  const stop = new AbortController();
  const shutdown = new NodeShutdown(shutdownGroups({ periodMs: 200, criticalMs: 0, byPriority: [] }), {
    clock: { now: () => 0, sleep: () => Promise.resolve() },
    log: { ...silentLogger, warn: (_fields, message) => void happened.push(message) },
    node: { kind: 'Node', name: 'n' },
    events: { record: () => {} },
    logind: {
      maxDelayMs: () => Promise.resolve(5000),
      raiseMaxDelay: () => Promise.resolve(),
      inhibit: () => Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() }),
      watch: () => Promise.resolve(watchOf([true], () => stop.abort())),
    },
    rootDir,
    activePods: () => [pod('web')],
    terminate: (uid) => void happened.push(`end ${uid}`),
    isCleanedUp: () => true,
    statusChanged: () => new Promise(() => happened.push('status')),
  });
  await shutdown.run(stop.signal);
  expect(happened).toEqual([
    'the machine shuts down',
    'status',
    'the node status could not be told before the shutdown',
    'end web',
  ]);
});

test('the node’s own object says what the control plane knows', async () => {
  const { signal } = new AbortController();
  const node = (message: string): Node => ({ status: { conditions: [{ type: 'Ready', status: 'False', message }] } });
  const listeners = new Set<() => void>();
  let current: Node | undefined;
  const controlPlane = {
    get: () => Promise.resolve(current as never),
    watch: (_kind: string, _namespace: string, _name: string, onChange: () => void) => {
      listeners.add(onChange);
      return { [Symbol.dispose]: () => void listeners.delete(onChange) };
    },
  };
  // A machine without a cluster has none.
  await nodeToldOfShutdown('n', true, controlPlane, signal);
  current = node('kubelet is posting ready status');
  await nodeToldOfShutdown('n', false, controlPlane, signal);
  let told = false;
  const waiting = nodeToldOfShutdown('n', true, controlPlane, signal).then(() => (told = true));
  for (const message of ['container runtime network not ready', 'something, node is shutting down']) {
    await new Promise(setImmediate);
    expect(told).toBe(false);
    current = node(message);
    for (const listener of listeners) listener();
  }
  await waiting;
  expect(listeners.size).toBe(0);
});

test.each([
  ['{"startTime":"2026-01-02T03:04:05Z","endTime":"2026-01-02T03:04:25Z"}', [1_767_323_045, 1_767_323_065]],
  ['{"startTime":"2026-01-02T03:04:05Z"}', [1_767_323_045, 0]],
  ['garbage', [0, 0]],
])('the last shutdown is known from its file: %s', async (text, times) => {
  await writeFile(join(rootDir, 'graceful_node_shutdown_state'), text);
  const unused = (): never => {
    throw new Error('nothing of this is asked for');
  };
  const shutdown = new NodeShutdown(shutdownGroups({ periodMs: 1000, criticalMs: 0, byPriority: [] }), {
    clock: { now: () => 0, sleep: unused },
    log: silentLogger,
    node: { kind: 'Node', name: 'n' },
    events: { record: unused },
    // There is none.
    logind: { maxDelayMs: () => Promise.resolve(undefined), raiseMaxDelay: unused, inhibit: unused, watch: unused },
    rootDir,
    ...{ activePods: unused, terminate: unused, isCleanedUp: unused, statusChanged: unused },
  });
  await shutdown.run(new AbortController().signal);
  expect(timesOf(shutdown)).toEqual(times);
});
