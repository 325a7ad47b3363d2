import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { podUidOf } from '../../../agent/api/index.js';
import {
  buildSummary,
  cadvisorMetrics,
  FilesystemUsages,
  resourceMetrics,
  ResourceMonitor,
  type MonitoredPod,
  type MonitorOptions,
} from '../../../agent/stats/index.js';
import { CgroupWorld, testPod } from '../resources/cgroup-world.js';
import { someMachine } from './some-machine.js';

const { signal } = new AbortController();

/** Pods in real cgroups, each with a process and a network of its own; disposing removes them. */
export class MonitoredPods implements AsyncDisposable {
  readonly #world: CgroupWorld;
  readonly #pods: MonitoredPod[] = [];
  readonly #monitors: ResourceMonitor[] = [];

  private constructor(world: CgroupWorld) {
    this.#world = world;
  }

  static async open(count: number): Promise<MonitoredPods> {
    const pods = new MonitoredPods(await CgroupWorld.open());
    for (let index = 0; index < count; index++) await pods.#add(index);
    return pods;
  }

  /** One scrape of each endpoint, by its path. */
  async scrapes(keptFiles?: MonitorOptions['keptFiles']): Promise<Readonly<Record<string, () => string>>> {
    const world = this.#world;
    const monitor = new ResourceMonitor(
      { hierarchy: world.hierarchy, system: () => [{ name: 'pods', cgroup: `${world.root}/kubepods` }], keptFiles },
      { clock: systemClock, pods: () => this.#pods },
    );
    this.#monitors.push(monitor);
    const disks = filesystemsOf(this.#pods);
    await disks.measure();
    const common = {
      memoryBytes: 2 ** 34,
      filesystems: await disks.node(),
      podFilesystems: ({ pod }: { pod: MonitoredPod }) => disks.of(pod.uid),
      localVolumes: () => new Set<string>(),
    };
    return {
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
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const monitor of this.#monitors) monitor[Symbol.dispose]();
    await this.#world[Symbol.asyncDispose]();
  }

  async #add(index: number): Promise<void> {
    const world = this.#world;
    const name = `p${index}`;
    const pod = testPod(name, { requests: { cpu: '10m', memory: '8Mi' } });
    await world.cgroups.ensure(pod, signal);
    const id = `c${index}`.padEnd(64, '0');
    world.container(pod, id, ['unshare', '--net', 'sleep', '3600']);
    const startedAt = 1_000_000;
    const container = { name: 'main', id, image: 'busybox', startedAt, logPath: '', cpuLimited: false };
    this.#pods.push({
      ...{ uid: podUidOf(pod), namespace: 'test', name, startedAt, cgroup: world.cgroups.parentOf(pod) },
      ...{ hostNetwork: false, cpuLimited: false, containers: [container] },
    });
  }
}

export function filesystemsOf(pods: readonly MonitoredPod[]): FilesystemUsages {
  return new FilesystemUsages(
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
}
