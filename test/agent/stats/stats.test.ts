import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import type { PodUid } from '../../../agent/api/index.js';
import { buildSummary, resourceMetrics, ResourceMonitor, type MonitoredPod } from '../../../agent/stats/index.js';
import { RuntimeCgroup } from '../../../agent/stats/runtime-cgroup.js';
import { cheapestCpuMs } from '../../bench/measure.js';
import { LeakCheck } from '../../support/leak-check.js';
import { expectSpeed } from '../../support/speed.js';
import { CgroupWorld, testPod } from '../resources/cgroup-world.js';
import { filesystemsOf, MonitoredPods } from './monitored-pods.js';
import { until } from '../../support/until.js';

const { signal } = new AbortController();

test('usage of real cgroups: a busy container is seen to be busy, memory and processes are counted', async () => {
  await using _leaks = await LeakCheck.open({ tokens: ['berth-cgroups-'], kinds: ['cgroup'] });
  await using world = await CgroupWorld.open();
  const pod = testPod('busy', { limits: { cpu: '200m', memory: '64Mi' }, requests: { cpu: '200m', memory: '64Mi' } });
  await world.cgroups.ensure(pod, signal);
  world.container(pod, 'busy-id', ['sh', '-c', 'while :; do :; done']);
  const monitored: MonitoredPod = {
    uid: 'busy-uid' as PodUid,
    namespace: 'test',
    name: 'busy',
    startedAt: Date.now(),
    cgroup: world.cgroups.parentOf(pod),
    hostNetwork: false,
    cpuLimited: true,
    containers: [
      { name: 'main', id: 'busy-id', image: 'busybox', startedAt: Date.now(), logPath: '', cpuLimited: true },
    ],
  };
  using monitor = new ResourceMonitor(
    { hierarchy: world.hierarchy, system: () => [{ name: 'pods', cgroup: `${world.root}/kubepods` }] },
    { clock: systemClock, pods: () => [monitored] },
  );
  await until('a rate and throttling', () => {
    const cpu = monitor.snapshot(0).pods[0]?.usage.cpu;
    return (cpu?.nanoCores ?? 0) > 0 && (cpu?.throttling?.throttledPeriods ?? 0) > 0;
  });
  const snapshot = monitor.snapshot(0);
  const [usage] = snapshot.pods;
  expect(usage?.usage.cpu?.nanoCores).toBeLessThan(300_000_000);
  expect(usage?.usage.memory?.limit).toBe(64 * 1024 * 1024);
  expect(usage?.usage.memory?.workingSet).toBeGreaterThan(0);
  expect(usage?.containers[0]?.usage.processes).toBe(1);
  expect(usage?.network).toBeDefined();
  expect(snapshot.system[0]?.usage.cpu?.totalNs).toBeGreaterThanOrEqual(usage?.usage.cpu?.totalNs ?? Infinity);
  expect(snapshot.node.memory?.workingSet).toBeGreaterThan(usage?.usage.memory?.workingSet ?? 0);
  expect(snapshot.rlimit.maxPid).toBeGreaterThan(snapshot.rlimit.processes);

  const filesystems = filesystemsOf([monitored]);
  const summary = buildSummary({
    nodeName: 'n',
    memoryBytes: 2 ** 34,
    snapshot,
    filesystems: await filesystems.node(),
    podFilesystems: ({ pod: each }) => filesystems.of(each.uid),
    localVolumes: () => new Set(),
  });
  expect(summary.pods[0]).toMatchObject({
    podRef: { name: 'busy', namespace: 'test', uid: 'busy-uid' },
    process_stats: { process_count: 1 },
    containers: [{ name: 'main', memory: { availableBytes: expect.any(Number) as number } }],
  });
  expect(summary.node.fs?.capacityBytes).toBeGreaterThan(0);
  expect(resourceMetrics(snapshot)).toMatch(
    /^container_cpu_usage_seconds_total\{container="main",namespace="test",pod="busy"\} [\d.]+ \d{13}$/m,
  );
});

test('files that are held between looks: a cgroup goes all the same, and another in its place is looked at', async () => {
  await using _leaks = await LeakCheck.open({ tokens: ['berth-cgroups-'], kinds: ['cgroup'] });
  await using world = await CgroupWorld.open();
  const pod = testPod('again', { requests: { cpu: '10m' } });
  const cgroup = world.cgroups.parentOf(pod);
  const container = { id: 'again-id', name: 'main', image: 'busybox', startedAt: 0, logPath: '', cpuLimited: false };
  const monitored: MonitoredPod = {
    ...{ uid: 'again-uid' as PodUid, namespace: 'test', name: 'again', startedAt: 0, cgroup },
    ...{ hostNetwork: false, cpuLimited: false, containers: [container] },
  };
  using monitor = new ResourceMonitor(
    { hierarchy: world.hierarchy, system: () => [] },
    { clock: systemClock, pods: () => [monitored] },
  );
  const processes = (): number | undefined => monitor.snapshot(0).pods[0]?.containers[0]?.usage.processes;
  for (const count of [1, 2]) {
    await world.cgroups.ensure(pod, signal);
    for (let made = 0; made < count; made++) world.container(pod, container.id);
    await until(`${count} processes`, () => processes() === count);
    await world.cgroups.remove(monitored.uid, signal);
    expect(world.cgroups.exists(pod)).toBe(false);
    const [gone] = monitor.snapshot(0).pods;
    expect([gone?.usage.cpu, gone?.usage.memory, gone?.usage.threads]).toEqual([undefined, undefined, undefined]);
  }
});

test('the runtime is told of by the cgroup of who listens on its socket; what has no cgroup is left out', async () => {
  await using _leaks = await LeakCheck.open({ tokens: ['berth-cgroups-'], kinds: ['cgroup', 'process'] });
  await using world = await CgroupWorld.open();
  const folder = await mkdtemp(join(tmpdir(), 'berth-cgroups-'));
  await using _folder = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
  const socketPath = join(folder, 'runtime.sock');
  const { hierarchy } = world;
  const runtime = new RuntimeCgroup({ hierarchy, socketPath }, systemClock);
  const misc = testPod('misc');
  await world.cgroups.ensure(misc, signal);
  using monitor = new ResourceMonitor(
    {
      hierarchy,
      system: () => [
        { name: 'runtime', cgroup: runtime.current() ?? '/berth-cgroups-none' },
        { name: 'misc', cgroup: world.cgroups.parentOf(misc) },
      ],
    },
    { clock: systemClock, pods: () => [] },
  );
  const names = (): string[] => monitor.node().system.map(({ name }) => name);
  expect(names()).toEqual(['misc']);
  const daemon = testPod('daemon');
  await world.cgroups.ensure(daemon, signal);
  world.container(daemon, 'daemon-id', ['socat', `UNIX-LISTEN:${socketPath}`, '-']);
  await vi.waitFor(
    async () => {
      await runtime.look();
      expect(runtime.current()).toBe(`${world.cgroups.parentOf(daemon)}/daemon-id`);
    },
    { timeout: 60_000 },
  );
  expect(names()).toEqual(['runtime', 'misc']);
  expect(monitor.node().system[0]?.usage.memory).toBeDefined();
});

test('a scrape of 100 pods costs at most 40 ms of CPU', async () => {
  await using _leaks = await LeakCheck.open({ tokens: ['berth-cgroups-'], kinds: ['cgroup'] });
  await using pods = await MonitoredPods.open(100);
  const endpoints = await pods.scrapes();
  for (const [name, scrape] of Object.entries(endpoints)) {
    const ms = cheapestCpuMs(() => void scrape());
    process.stdout.write(`${name} of 100 pods: ${ms.toFixed(1)} ms CPU, ${scrape().length} bytes\n`);
    expectSpeed(`${name} of 100 pods, ms CPU`, ms, 40);
  }
});
