import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import type { Pod, PodUid } from '../api/index.js';
import { DesiredPods } from './desired-pods.js';

const pod = (name: string, uid: string, more: Pod['metadata'] = {}): Pod => ({
  metadata: { name, namespace: 'default', uid, ...more },
  spec: { terminationGracePeriodSeconds: 20, containers: [{ name: 'c', image: 'i' }] },
});

function world(
  refuse: (pod: Pod) => string | undefined = () => undefined,
  isStatic: (pod: Pod) => boolean = () => true,
): {
  pods: DesiredPods;
  woken: string[];
  rejected: string[];
} {
  const woken: string[] = [];
  const rejected: string[] = [];
  const pods = new DesiredPods({
    clock: { ...systemClock, now: () => 5000 },
    admit: (asked) => {
      const reason = refuse(asked);
      return reason === undefined ? { admitted: true, pod: asked } : { admitted: false, reason, message: 'no room' };
    },
    isStatic,
    wake: (uid) => woken.push(uid),
    rejected: (_pod, reason) => rejected.push(reason),
  });
  return { pods, woken, rejected };
}

const uid = (text: string): PodUid => text as PodUid;

test('absence means nothing until every source has delivered', () => {
  const { pods } = world();
  pods.apply([pod('a', '1')], false);
  pods.apply([], false);
  expect(pods.get(uid('1'))?.termination).toBeUndefined();
  pods.apply([], true);
  expect(pods.get(uid('1'))?.termination).toEqual({ cause: 'removed', since: 5000, graceSeconds: 20 });
});

test('a rejected pod is told so once and holds nothing', () => {
  const { pods, rejected } = world((asked) => (asked.metadata?.name === 'big' ? 'OutOfcpu' : undefined));
  pods.apply([pod('big', '1'), pod('small', '2')], true);
  pods.apply([pod('big', '1'), pod('small', '2')], true);
  expect(rejected).toEqual(['OutOfcpu']);
  expect(pods.get(uid('1'))?.termination?.status).toEqual({
    phase: 'Failed',
    reason: 'OutOfcpu',
    message: 'Pod was rejected: no room',
  });
  expect(pods.active().map((active) => active.metadata?.name)).toEqual(['small']);
});

test('the second pod of one name waits until nothing of the first is left', () => {
  const { pods, woken } = world();
  pods.apply([pod('a', '1')], true);
  pods.apply([pod('a', '2')], true);
  expect(pods.get(uid('1'))?.termination?.cause).toBe('removed');
  expect(pods.get(uid('2'))).toBeUndefined();
  pods.gone(uid('1'));
  expect(pods.get(uid('1'))).toBeUndefined();
  expect(pods.get(uid('2'))?.termination).toBeUndefined();
  expect(woken.at(-1)).toBe('2');
});

test('the grace only shrinks and the first cause stays', () => {
  const { pods } = world();
  pods.apply([pod('a', '1')], true);
  pods.terminate(uid('1'), {
    cause: 'evicted',
    since: 1,
    graceSeconds: 10,
    status: { phase: 'Failed', reason: 'Evicted', message: 'm' },
  });
  pods.terminate(uid('1'), { cause: 'shutdown', since: 2, graceSeconds: 30 });
  pods.apply([pod('a', '1', { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 3 })], true);
  expect(pods.get(uid('1'))?.termination).toMatchObject({
    cause: 'evicted',
    since: 1,
    graceSeconds: 3,
    status: { reason: 'Evicted' },
  });
});

test('a pod that is named again while it ends starts anew after it', () => {
  const { pods } = world();
  const web = pod('a', '1');
  pods.apply([web], true);
  pods.apply([], true);
  pods.apply([web], true);
  expect(pods.get(uid('1'))).toMatchObject({ removed: true, termination: { cause: 'removed' } });
  pods.gone(uid('1'));
  expect(pods.get(uid('1'))).toMatchObject({ pod: web });
  expect(pods.get(uid('1'))?.termination).toBeUndefined();
});

test('a finished pod that is still named is kept in mind, so that it does not run again', () => {
  const { pods, woken } = world();
  pods.apply([pod('a', '1')], true);
  pods.gone(uid('1'));
  const before = woken.length;
  pods.apply([pod('a', '1')], true);
  expect(pods.get(uid('1'))).toBeDefined();
  expect(woken.slice(before)).not.toContain('new loop');
});

test('a pod that was over before the agent came is not asked about again, and holds nothing', () => {
  const asked: string[] = [];
  const { pods, rejected } = world(
    (one) => {
      asked.push(one.metadata?.name ?? '');
      return undefined;
    },
    () => false,
  );
  const over = (name: string, id: string, phase: 'Failed' | 'Succeeded' | 'Running'): Pod => ({
    ...pod(name, id),
    status: { phase },
  });
  pods.apply([over('refused', '1', 'Failed'), over('done', '2', 'Succeeded'), over('runs', '3', 'Running')], true);
  expect(asked).toEqual(['runs']);
  expect(rejected).toEqual([]);
  expect(pods.active().map((active) => active.metadata?.name)).toEqual(['runs']);
  expect(pods.get(uid('1'))?.termination).toBeUndefined();
});

test('a static pod that always restarts comes back, and is asked about like any other', () => {
  const asked: string[] = [];
  const { pods } = world((one) => {
    asked.push(one.metadata?.name ?? '');
    return undefined;
  });
  pods.apply([{ ...pod('again', '1'), status: { phase: 'Failed' } }], true);
  expect(asked).toEqual(['again']);
  expect(pods.active().map((active) => active.metadata?.name)).toEqual(['again']);
});
