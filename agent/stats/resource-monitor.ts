import { readdirSync } from 'node:fs';
import { CpuRates } from '../../base/cpu-rates.js';
import type { Clock } from '../../base/clock.js';
import { parseNetDev, type InterfaceCounters } from '../../base/net-dev.js';
import type { PodUid } from '../api/index.js';
import { cgroupFolders, type CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import { CgroupReader, type RawUsage, type ReadDetail } from './cgroup-reader.js';
import { BlockDevices } from './block-devices.js';
import { DetailsOfCgroups, type CgroupDetails } from './cgroup-details.js';
import { KeptFiles, type KeptFilesOptions } from './kept-files.js';
import { readFields, SmallFiles } from './small-file.js';
import type { CgroupUsage } from './usage.js';

export interface MonitoredContainer {
  readonly name: string;
  readonly id: string;
  readonly image: string;
  /** ms. */
  readonly startedAt: number;
  readonly logPath: string;
  readonly cpuLimited: boolean;
}

export interface MonitoredPod {
  readonly uid: PodUid;
  readonly namespace: string;
  readonly name: string;
  /** ms. */
  readonly startedAt: number;
  /** Path of the pod's cgroup below the hierarchy. */
  readonly cgroup: string;
  readonly hostNetwork: boolean;
  readonly cpuLimited: boolean;
  /** Only those that run. */
  readonly containers: readonly MonitoredContainer[];
}

export interface ContainerUsage {
  readonly container: MonitoredContainer;
  readonly cgroup: string;
  readonly usage: CgroupUsage;
}

export interface PodUsage {
  readonly pod: MonitoredPod;
  readonly usage: CgroupUsage;
  readonly containers: readonly ContainerUsage[];
  /** Undefined for pods on the host's network. */
  readonly network: readonly InterfaceCounters[] | undefined;
}

export type SystemContainerName = 'kubelet' | 'runtime' | 'misc' | 'pods';

/** A group of the machine's own. */
export interface SystemContainer {
  readonly name: SystemContainerName;
  /** When it began, ms; with the machine where that is not said. */
  readonly startedAt?: number | undefined;
}

export interface SystemCgroup extends SystemContainer {
  readonly cgroup: string;
}

export interface NodeSnapshot {
  /** ms. */
  readonly at: number;
  readonly node: CgroupUsage;
  readonly nodeNetwork: readonly InterfaceCounters[];
  /** Groups of the machine's own: those that have a cgroup. */
  readonly system: readonly (SystemContainer & { readonly usage: CgroupUsage })[];
  readonly bootedAt: number;
  readonly rlimit: { readonly maxPid: number; readonly processes: number };
  /** Processes the kernel killed for want of memory since boot, anywhere. */
  readonly oomKills: number;
}

export interface UsageSnapshot extends NodeSnapshot {
  readonly pods: readonly PodUsage[];
}

export interface MonitorOptions {
  readonly hierarchy: CgroupHierarchy;
  /** Cgroups of the machine's own groups, as they are known now; `pods` is `kubepods`. */
  system(): readonly SystemCgroup[];
  /** How long a snapshot serves others who ask. */
  readonly maxAgeMs?: number | undefined;
  readonly procDir?: string | undefined;
  readonly keptFiles?: KeptFilesOptions | undefined;
}

export interface MonitorDeps {
  readonly clock: Clock;
  pods(): readonly MonitoredPod[];
}

const usualMaxAgeMs = 1000;
/** Of the cgroups whose details are known, how many are read anew at each scrape. */
const detailsShare = 1 / 4;
/** Ends of links between namespaces: as many as there are pods, and each pod tells of its own. */
const linkEnd = /^(veth|docker|nerdctl)/;
const ratesKeptMs = 300_000;
const oomKill = new Set(['oom_kill']);
const brief: ReadDetail = { cpuLimited: false, full: false };

/** Usage of node, pods and containers from one look at the kernel's files, for all who ask: summary, metrics, eviction. */
export class ResourceMonitor implements Disposable {
  readonly #options: MonitorOptions;
  readonly #deps: MonitorDeps;
  readonly #files = new SmallFiles();
  readonly #cgroupFiles: KeptFiles;
  readonly #reader: CgroupReader;
  readonly #rates = new CpuRates();
  readonly #details: DetailsOfCgroups;
  readonly #containerCgroups = new Map<string, string>();
  /** A process of each container, by container id, whose network is the pod's. */
  readonly #processes = new Map<string, number>();
  #last: UsageSnapshot | undefined;

  constructor(options: MonitorOptions, deps: MonitorDeps) {
    this.#options = options;
    this.#deps = deps;
    const { hierarchy, procDir } = options;
    this.#cgroupFiles = new KeptFiles(this.#files, options.keptFiles);
    this.#reader = new CgroupReader(hierarchy, this.#cgroupFiles, this.#proc);
    const devices = new BlockDevices();
    this.#details = new DetailsOfCgroups({ hierarchy, files: this.#files, devices, procDir });
  }

  /** `maxAgeMs` 0 measures now. */
  snapshot(maxAgeMs = this.#options.maxAgeMs ?? usualMaxAgeMs): UsageSnapshot {
    const at = this.#deps.clock.now();
    if (this.#last && at - this.#last.at < maxAgeMs) return this.#last;
    const pods = this.#deps.pods();
    const snapshot: UsageSnapshot = { ...this.node(), at, pods: pods.map((pod) => this.#pod(pod, at)) };
    this.#last = snapshot;
    this.#forget(pods, at);
    return snapshot;
  }

  /** What only few ask for, of all cgroups of a snapshot, by cgroup: read now of those that are new, the rest in turns. */
  details({ at, pods }: UsageSnapshot, share = detailsShare): ReadonlyMap<string, CgroupDetails> {
    const cgroups = new Map([['', { openFiles: false }]]);
    for (const { pod, containers } of pods) {
      cgroups.set(pod.cgroup, { openFiles: false });
      for (const { cgroup } of containers) cgroups.set(cgroup, { openFiles: true });
    }
    return this.#details.of(cgroups, at, share);
  }

  /** The node alone, measured now: costs the same however many pods there are. */
  node(): NodeSnapshot {
    const at = this.#deps.clock.now();
    this.#reader.hasSwap = (this.#files.text(`${this.#proc}/swaps`) ?? '').trimEnd().includes('\n');
    return {
      at,
      node: this.#timed('/', this.#reader.readRoot(), at),
      nodeNetwork: this.#network('1').filter(({ name }) => !linkEnd.test(name)),
      system: this.#system(at),
      bootedAt: this.#bootedAt(),
      rlimit: this.#rlimit(),
      oomKills: readFields(this.#files.text(`${this.#proc}/vmstat`) ?? '', oomKill).get('oom_kill') ?? 0,
    };
  }

  /** Gives back what it holds between looks; it may be asked again. */
  [Symbol.dispose](): void {
    this.#cgroupFiles[Symbol.dispose]();
  }

  get #proc(): string {
    return this.#options.procDir ?? '/proc';
  }

  /** What has no cgroup, or has none any more, is left out. */
  #system(at: number): NodeSnapshot['system'] {
    return this.#options.system().flatMap(({ cgroup, ...group }) => {
      const usage = this.#usage(cgroup, brief, at);
      return usage.cpu || usage.memory ? [{ ...group, usage }] : [];
    });
  }

  #pod(pod: MonitoredPod, at: number): PodUsage {
    const containers = pod.containers.flatMap((container): ContainerUsage[] => {
      const cgroup = this.#cgroupOf(pod, container.id);
      if (cgroup === undefined) return [];
      const detail = { cpuLimited: container.cpuLimited, full: true };
      return [{ container, cgroup, usage: this.#usage(cgroup, detail, at) }];
    });
    const usage = this.#usage(pod.cgroup, { cpuLimited: pod.cpuLimited, full: false }, at);
    return { pod, usage, containers, network: pod.hostNetwork ? undefined : this.#podNetwork(containers) };
  }

  /** Runtimes name a container's cgroup after its id, each in its own way (`<id>`, `cri-containerd-<id>.scope`). */
  #cgroupOf(pod: MonitoredPod, id: string): string | undefined {
    const known = this.#containerCgroups.get(id);
    if (known !== undefined) return known;
    for (const folder of cgroupFolders(this.#options.hierarchy, pod.cgroup)) {
      const name = foldersIn(folder).find((entry) => entry.includes(id));
      if (name === undefined) continue;
      // crun keeps a container's limits and counts in a cgroup below its scope.
      const inner = name.endsWith('.scope') && foldersIn(`${folder}/${name}`).includes('container') ? '/container' : '';
      const cgroup = `${pod.cgroup}/${name}${inner}`;
      this.#containerCgroups.set(id, cgroup);
      return cgroup;
    }
    return undefined;
  }

  #podNetwork(containers: readonly ContainerUsage[]): InterfaceCounters[] | undefined {
    for (const { container, cgroup } of containers) {
      const known = this.#processes.get(container.id);
      const network = known === undefined ? [] : this.#network(String(known));
      if (network.length > 0) return network;
      const pid = this.#reader.aProcess(cgroup);
      if (pid === undefined) continue;
      this.#processes.set(container.id, pid);
      return this.#network(String(pid));
    }
    return undefined;
  }

  #network(pid: string): InterfaceCounters[] {
    return parseNetDev(this.#files.text(`${this.#proc}/${pid}/net/dev`) ?? '');
  }

  #usage(cgroup: string, detail: ReadDetail, at: number): CgroupUsage {
    return this.#timed(cgroup, this.#reader.read(cgroup, detail), at);
  }

  #timed(cgroup: string, raw: RawUsage, at: number): CgroupUsage {
    const { cpu } = raw;
    return {
      ...raw,
      at,
      cpu: cpu && { ...cpu, nanoCores: this.#rates.nanoCores(cgroup, cpu.totalNs, at) },
    };
  }

  #bootedAt(): number {
    const seconds = /^btime (\d+)$/m.exec(this.#files.text(`${this.#proc}/stat`) ?? '')?.[1];
    return Number(seconds ?? 0) * 1000;
  }

  /** The fourth field of loadavg holds all threads of the machine; what the kernel limits are those. */
  #rlimit(): { maxPid: number; processes: number } {
    const threads = /^\S+ \S+ \S+ \d+\/(\d+)/.exec(this.#files.text(`${this.#proc}/loadavg`) ?? '')?.[1];
    const limits = ['pid_max', 'threads-max'].map((name) => this.#files.number(`${this.#proc}/sys/kernel/${name}`));
    return { maxPid: Math.min(...limits.map((limit) => limit ?? Infinity)), processes: Number(threads ?? 0) };
  }

  #forget(pods: readonly MonitoredPod[], at: number): void {
    this.#rates.forgetOlderThan(at - ratesKeptMs);
    const ids = new Set(pods.flatMap((pod) => pod.containers.map(({ id }) => id)));
    for (const known of [this.#containerCgroups, this.#processes])
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
  }
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    // The cgroup goes while it is looked at; the next look sees it gone.
    return [];
  }
}
