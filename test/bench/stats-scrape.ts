import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { podUidOf } from '../../agent/api/index.js';
import {
  buildSummary,
  cadvisorMetrics,
  FilesystemUsages,
  resourceMetrics,
  ResourceMonitor,
  type MonitoredPod,
} from '../../agent/stats/index.js';
import { someMachine } from '../resources/some-machine.js';
import { CgroupWorld, testPod } from '../resources/cgroup-world.js';
import { benchRow, cheapestCpuMs, type BenchRow } from './measure.js';

const podCount = 100;
const targetMs = 40;
const { signal } = new AbortController();

/** What one scrape of each endpoint costs with 100 pods in real cgroups, each with a process and a network of its own. */
export async function benchStatsScrape(): Promise<BenchRow[]> {
  await using world = await CgroupWorld.open();
  const pods = await podsIn(world);
  const monitor = new ResourceMonitor(
    { hierarchy: world.hierarchy, system: [{ name: 'pods', cgroup: `${world.root}/kubepods` }] },
    { clock: systemClock, pods: () => pods },
  );
  const disks = new FilesystemUsages(
    { rootDir: '/tmp' },
    {
      clock: systemClock,
      log: silentLogger,
      runtime: { listContainerStats: () => Promise.resolve({ stats: [] }) },
      imageFilesystems: () => Promise.resolve({ images: '/tmp', containers: undefined }),
      volumes: () => Promise.resolve([]),
      pods: () => pods,
    },
    signal,
  );
  await disks.measure();
  const common = {
    memoryBytes: 2 ** 34,
    filesystems: await disks.node(),
    podFilesystems: ({ pod }: { pod: MonitoredPod }) => disks.of(pod.uid),
  };
  const endpoints: Record<string, () => string> = {
    '/stats/summary': () => JSON.stringify(buildSummary({ ...common, snapshot: monitor.snapshot(0), nodeName: 'n' })),
    '/metrics/cadvisor': () => {
      const snapshot = monitor.snapshot(0);
      return cadvisorMetrics({
        ...common,
        snapshot,
        details: monitor.details(snapshot),
        machine: someMachine,
        disks: new Map(),
      });
    },
    '/metrics/resource': () => resourceMetrics(monitor.snapshot(0)),
  };
  return Object.entries(endpoints).map(([path, scrape]) =>
    benchRow(
      `${path} of ${podCount} pods, CPU`,
      cheapestCpuMs(() => void scrape()),
      targetMs,
    ),
  );
}

async function podsIn(world: CgroupWorld): Promise<MonitoredPod[]> {
  const pods: MonitoredPod[] = [];
  for (let index = 0; index < podCount; index++) {
    const name = `p${index}`;
    const pod = testPod(name, { requests: { cpu: '10m', memory: '8Mi' } });
    await world.cgroups.ensure(pod, signal);
    const id = `c${index}`.padEnd(64, '0');
    world.container(pod, id, ['unshare', '--net', 'sleep', '3600']);
    const container = { name: 'main', id, image: 'busybox', startedAt: 1, logPath: '', cpuLimited: false };
    pods.push({
      ...{ uid: podUidOf(pod), namespace: 'test', name, startedAt: 1, cgroup: world.cgroups.parentOf(pod) },
      ...{ hostNetwork: false, cpuLimited: false, containers: [container] },
    });
  }
  return pods;
}
