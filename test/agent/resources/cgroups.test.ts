import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { podUidOf } from '../../../agent/api/index.js';
import { cgroupFolders } from '../../../agent/resources/cgroups/hierarchy.js';
import { LeakCheck } from '../../support/leak-check.js';
import { CgroupWorld, testPod } from './cgroup-world.js';
import { until } from '../../support/until.js';
import { expectSpeed } from '../../support/speed.js';

const { signal } = new AbortController();
const mebi = 2 ** 20;
const isV1 = (world: CgroupWorld): boolean => world.hierarchy.version === 1;
const valueOf = (world: CgroupWorld, controller: string, cgroup: string, v1: string, v2: string): string =>
  readFileSync(`${world.folder(controller, cgroup)}/${isV1(world) ? v1 : v2}`, 'utf8').trim();

test('pods get their limits by class, and the burstable tier weighs what its pods ask for', async () => {
  await using _leaks = await LeakCheck.open({ tokens: ['berth-cgroups-'], kinds: ['cgroup', 'process'] });
  await using world = await CgroupWorld.open({ podPidsLimit: 100, limits: { memoryBytes: 512 * mebi, pids: 500 } });
  const full = { cpu: '500m', memory: '64Mi' };
  const guaranteed = testPod('guaranteed', { limits: full, requests: full });
  const burstable = testPod('burstable', { requests: { cpu: '250m' } });
  const other = testPod('other', { requests: { cpu: '750m' } });
  for (const pod of [guaranteed, burstable, other]) await world.cgroups.ensure(pod, signal);
  expect(world.cgroups.parentOf(guaranteed)).toBe(`${world.root}/kubepods/podguaranteed-uid`);
  expect(world.cgroups.parentOf(burstable)).toBe(`${world.root}/kubepods/burstable/podburstable-uid`);
  const of = world.cgroups.parentOf(guaranteed);
  expect(valueOf(world, 'memory', of, 'memory.limit_in_bytes', 'memory.max')).toBe(String(64 * mebi));
  expect(valueOf(world, 'pids', of, 'pids.max', 'pids.max')).toBe('100');
  if (isV1(world)) {
    expect(valueOf(world, 'cpu', of, 'cpu.shares', '')).toBe('512');
    expect(valueOf(world, 'cpu', of, 'cpu.cfs_quota_us', '')).toBe('50000');
    expect(valueOf(world, 'cpu', `${world.root}/kubepods/burstable`, 'cpu.shares', '')).toBe('1024');
    expect(valueOf(world, 'cpu', `${world.root}/kubepods/besteffort`, 'cpu.shares', '')).toBe('2');
  }
  expect(valueOf(world, 'memory', world.cgroups.root, 'memory.limit_in_bytes', 'memory.max')).toBe(String(512 * mebi));
  expect([...(await world.cgroups.present(signal))].sort()).toEqual(['burstable-uid', 'guaranteed-uid', 'other-uid']);
  await world.cgroups.remove(podUidOf(other), signal);
  if (isV1(world)) expect(valueOf(world, 'cpu', `${world.root}/kubepods/burstable`, 'cpu.shares', '')).toBe('256');
});

test('a resize shows what differs from what the kernel has, and another cgroup is limited where it is there', async () => {
  await using _leaks = await LeakCheck.open({ tokens: ['berth-cgroups-'], kinds: ['cgroup', 'process'] });
  await using world = await CgroupWorld.open();
  const of = (cpu: string, memory: string) =>
    testPod('sized', { limits: { cpu, memory }, requests: { cpu: '100m', memory } });
  const small = of('500m', '64Mi');
  await world.cgroups.ensure(small, signal);
  expect(world.cgroups.changes(small)).toMatchObject({ first: [], last: [] });
  const grown = of('1', '96Mi');
  expect(world.cgroups.changes(grown)).toMatchObject({
    first: [{ cpuQuotaUs: 100_000, cpuPeriodUs: 100_000, memoryBytes: 96 * mebi }],
    last: [],
    memory: { before: 64 * mebi, after: 96 * mebi },
  });
  for (const limits of world.cgroups.changes(grown).first) await world.cgroups.setLimits(grown, limits, signal);
  expect(world.cgroups.changes(grown)).toMatchObject({ first: [], last: [] });
  expect(world.cgroups.memoryUse(grown)).toBeGreaterThanOrEqual(0);
  const own = world.cgroups.parentOf(grown);
  expect(await world.cgroups.limitOther(own, { memoryBytes: 32 * mebi }, signal)).toBe(true);
  expect(valueOf(world, 'memory', own, 'memory.limit_in_bytes', 'memory.max')).toBe(String(32 * mebi));
  expect(await world.cgroups.limitOther('/berth-cgroups-nowhere', { memoryBytes: mebi }, signal)).toBe(false);
});

test('removal ends what is left in the pod, however deep, and may be repeated', async () => {
  await using _leaks = await LeakCheck.open({ tokens: ['berth-cgroups-'], kinds: ['cgroup', 'process'] });
  await using world = await CgroupWorld.open();
  const pod = testPod('left');
  await world.cgroups.ensure(pod, signal);
  const children = [world.container(pod, 'c1'), world.container(pod, 'c2/nested')];
  expect(world.cgroups.exists(pod)).toBe(true);
  await world.cgroups.remove(podUidOf(pod), signal);
  await world.cgroups.remove(podUidOf(pod), signal);
  await until('processes to be ended', () => children.every((child) => child.signalCode === 'SIGKILL'));
  expect(world.cgroups.exists(pod)).toBe(false);
  for (const folder of cgroupFolders(world.hierarchy, world.cgroups.parentOf(pod)))
    expect(existsSync(folder)).toBe(false);
});

test('a pod that uses more processes than its limit cannot make more', async () => {
  await using world = await CgroupWorld.open({ podPidsLimit: 5 });
  const pod = testPod('bomb');
  await world.cgroups.ensure(pod, signal);
  // Only once it is in its cgroup.
  const inside = `grep -q '${isV1(world) ? 'pids[^:]*' : '^0:'}:${world.root}/' /proc/self/cgroup`;
  const bomb = world.container(pod, 'c', [
    'sh',
    '-c',
    `until ${inside}; do sleep 0.1; done; for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait`,
  ]);
  await until('forks to fail or the shell to end', () => {
    if (bomb.exitCode !== null) return true;
    const events = readFileSync(`${world.folder('pids', world.cgroups.parentOf(pod))}/pids.events`, 'utf8');
    return Number(/max (\d+)/.exec(events)?.[1]) > 0;
  });
  expect(
    Number(valueOf(world, 'pids', world.cgroups.parentOf(pod), 'pids.current', 'pids.current')),
  ).toBeLessThanOrEqual(5);
});

test('the cgroup of a pod is made with a few calls', async () => {
  await using world = await CgroupWorld.open();
  const pods = Array.from({ length: 50 }, (_, n) => testPod(`p${n}`, { requests: { cpu: '1m' } }));
  const before = process.cpuUsage();
  for (const pod of pods) await world.cgroups.ensure(pod, signal);
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000 / pods.length;
  expectSpeed('cgroup of one pod, ms CPU', ms, 5);
});
