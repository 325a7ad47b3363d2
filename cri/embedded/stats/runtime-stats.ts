import type * as v1 from '../../../proto/generated/cri-v1.js';
import { matches } from '../containers/container-status.js';
import type { RuntimeContext } from '../context.js';
import { readProc } from '../host/process-identity.js';
import { podCgroup } from '../oci-spec/cgroup-path.js';
import type { ContainerEntry } from '../state/container-entry.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';
import { readCgroupStats, type CgroupStats } from '../../stats/cgroup-stats.js';
import { CriUsage, sumOfCgroups } from '../../stats/cri-usage.js';
import type { LayerFilesystem, MetricSource } from '../../stats/container-metrics.js';
import { layerFilesystem } from '../../stats/layer-filesystem.js';
import { readMetricCounters } from '../../stats/metric-counters.js';
import { metricDescriptors, podMetrics } from '../../stats/metrics.js';
import { parseNetDev, type InterfaceCounters } from '../../../base/net-dev.js';
import { networkUsage } from '../../stats/network-stats.js';
import { WritableLayers } from './writable-layers.js';

/** Answers from cgroup files at the moment of asking. */
export class RuntimeStats {
  readonly #context: RuntimeContext;
  readonly #layers: WritableLayers;
  readonly #usage = new CriUsage();

  constructor(context: RuntimeContext) {
    this.#context = context;
    this.#layers = new WritableLayers(context);
  }

  container(entry: ContainerEntry): v1.ContainerStats {
    const { record } = entry;
    const stats = entry.init === undefined ? undefined : readCgroupStats(this.#context.host, record.cgroup);
    const attributes = {
      id: record.id,
      metadata: record.metadata,
      labels: record.labels,
      annotations: record.annotations,
    };
    const writableLayer = this.#writableLayer(entry);
    if (stats === undefined) return { attributes, writableLayer };
    return { attributes, writableLayer, ...this.#usage.ofContainer(record.id, stats, this.#timestamp()) };
  }

  /** Of those that run, as the interface has it. */
  listContainers(filter: v1.ContainerStatsFilter | null | undefined): v1.ContainerStats[] {
    return [...this.#context.containers.values()]
      .filter((entry) => entry.phase.kind === 'running' && matches(entry.record, filter))
      .map((entry) => this.container(entry));
  }

  sandbox(sandbox: SandboxEntry): v1.PodSandboxStats {
    const { record } = sandbox;
    const timestamp = this.#timestamp();
    const containers = runningOf(sandbox);
    const stats = this.#podCgroupStats(sandbox, containers);
    const interfaces = this.#interfaces(sandbox);
    return {
      attributes: {
        id: record.id,
        metadata: record.metadata,
        labels: record.labels,
        annotations: record.annotations,
      },
      linux: {
        ...(stats !== undefined && this.#usage.ofPod(record.id, stats, timestamp)),
        network: interfaces.length === 0 ? undefined : networkUsage(interfaces, timestamp),
        containers: containers.map((entry) => this.container(entry)),
      },
    };
  }

  listSandboxes(filter: v1.PodSandboxStatsFilter | null | undefined): v1.PodSandboxStats[] {
    return [...this.#context.sandboxes.values()]
      .filter((sandbox) => sandbox.phase === 'ready' && matches(sandbox.record, filter))
      .map((sandbox) => this.sandbox(sandbox));
  }

  /** The next figures of writable layers are those of now. */
  async countLayers(): Promise<void> {
    await this.#layers.count();
  }

  metricDescriptors(): readonly v1.MetricDescriptor[] {
    return metricDescriptors();
  }

  async sandboxMetrics(): Promise<v1.PodSandboxMetrics[]> {
    const ready = [...this.#context.sandboxes.values()].filter((sandbox) => sandbox.phase === 'ready');
    const running = ready.flatMap((sandbox) => runningOf(sandbox).map(({ id }) => id));
    await this.#layers.lookAtNew(running);
    const timestamp = this.#timestamp();
    const filesystem = layerFilesystem(this.#context.layout.containerRecords);
    return ready.map((sandbox) =>
      podMetrics(
        sandbox.record,
        this.#podCgroupStats(sandbox, runningOf(sandbox))?.processes,
        this.#interfaces(sandbox),
        runningOf(sandbox).flatMap((entry) => this.#metricSource(entry, filesystem)),
        timestamp,
      ),
    );
  }

  #metricSource(entry: ContainerEntry, filesystem: LayerFilesystem | undefined): MetricSource[] {
    const { host, deps } = this.#context;
    const { record, init } = entry;
    const cgroup = readCgroupStats(host, record.cgroup);
    if (init === undefined || cgroup === undefined) return [];
    const counters = readMetricCounters(host, record.cgroup, init.pid);
    return [{ record, cgroup, counters, layer: this.#layers.usage(entry.id), filesystem, nowMs: deps.clock.now() }];
  }

  #timestamp(): number {
    return this.#context.deps.clock.now() * 1e6;
  }

  /** Of the pod's own cgroup; where it has none, the sum of its containers. */
  #podCgroupStats(sandbox: SandboxEntry, containers: readonly ContainerEntry[]): CgroupStats | undefined {
    const path = podCgroup(this.#context.options.cgroupDriver, sandbox.record.cgroupParent);
    if (path !== '') {
      const own = readCgroupStats(this.#context.host, path);
      // pids.current of v1 counts the subtree as v2 does; a parent that is the root has none.
      if (own !== undefined) return own;
    }
    const parts = containers.flatMap((entry) => {
      const stats = readCgroupStats(this.#context.host, entry.record.cgroup);
      return stats === undefined ? [] : [stats];
    });
    return sumOfCgroups(parts);
  }

  #interfaces(sandbox: SandboxEntry): InterfaceCounters[] {
    if (sandbox.record.network === 'NODE') return [];
    const init = [...sandbox.containers].map((entry) => entry.init).find((candidate) => candidate !== undefined);
    const text = init === undefined ? undefined : readProc(`/proc/${init.pid}/net/dev`);
    return text === undefined ? [] : parseNetDev(text);
  }

  #writableLayer(entry: ContainerEntry): v1.FilesystemUsage | undefined {
    const usage = this.#layers.usage(entry.id);
    if (usage === undefined) return undefined;
    return {
      timestamp: usage.atMs * 1e6,
      fsId: { mountpoint: this.#context.layout.containerRecords },
      usedBytes: { value: usage.bytes },
      inodesUsed: { value: usage.inodes },
    };
  }
}

const runningOf = (sandbox: SandboxEntry): ContainerEntry[] =>
  [...sandbox.containers].filter((entry) => entry.init !== undefined);
