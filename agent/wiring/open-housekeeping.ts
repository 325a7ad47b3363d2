import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { CriRuntime } from '../../cri/index.js';
import {
  isTerminalPhase,
  podUidOf,
  quantityValue,
  type ObjectReference,
  type Pod,
  type PodUid,
  type ResourceList,
} from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { EventRecorder } from '../events/event-recorder.js';
import {
  EvictionManager,
  EvictionPods,
  observeSignals,
  OomWatch,
  parseThresholds,
  pressureWhatIf,
  type EvictionPod,
  type NodeLook,
  type PressureCondition,
  type Threshold,
} from '../eviction/index.js';
import { openGarbage, type ImageVerdict, type KnownImage } from '../garbage/index.js';
import type { HousekeepingConfig } from '../config/housekeeping-config.js';
import type { PodLogFolders } from '../logs/pod-log-folders.js';
import type { HostFacts } from '../node/host-facts.js';
import type { RuntimeObserver } from '../observe/runtime-observer.js';
import type { PodLoops } from '../podloop/pod-loops.js';
import type { DesiredPods } from '../pods/desired-pods.js';
import { runtimeSocket } from '../runtimes/choose-runtime.js';
import type { OpenedRuntime } from '../runtimes/opened-runtime.js';
import { BusctlLogind, NodeShutdown, shutdownGroups } from '../shutdown/index.js';
import { enforceAllocatable } from '../resources/enforce-allocatable.js';
import type { CgroupLimits } from '../resources/cgroups/cgroup-limits.js';
import type { Kubepods } from '../resources/cgroups/kubepods.js';
import { MachineCgroups } from '../resources/cgroups/machine-cgroups.js';
import type { CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import type { Accumulator } from '../serving/metrics/accumulators.js';
import { openNodeStats, type NodeStatsEndpoints } from '../stats/index.js';
import type { VolumeManager } from '../volumes/volume-manager.js';

export interface HousekeepingDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly host: HostFacts;
  readonly hierarchy: CgroupHierarchy;
  readonly runtime: CriRuntime;
  /** What the runtime's own image store knows, where there is one. */
  readonly knownImages?: (() => readonly KnownImage[]) | undefined;
  readonly countLayers?: OpenedRuntime['countLayers'];
  readonly loops: PodLoops;
  readonly desired: DesiredPods;
  readonly volumes: Pick<VolumeManager, 'usage' | 'isPresent'>;
  readonly cgroups: Kubepods;
  readonly observer: RuntimeObserver;
  readonly logs: PodLogFolders;
  readonly capacity: ResourceList;
  /** What all pods together may use. */
  readonly podsLimits: CgroupLimits;
  readonly run: RunProgram;
  sourcesSynced(): boolean;
  /** Resolves when the control plane knows that the node shuts down, or no more. */
  toldOfShutdown(shuttingDown: boolean, signal: AbortSignal): Promise<void>;
  evicted(signal: string, statsAgeMs: number): void;
}

/** Keeps the node fit for its pods, and tells what they use. */
export interface Housekeeping extends AsyncDisposable {
  /** The pressures the node is under now. */
  readonly pressures: ReadonlySet<PressureCondition>;
  /** The machine is going down: no new pods. */
  readonly shuttingDown: boolean;
  /** Calls back when a pressure or the shutdown changed what the node says of itself. */
  onChange(listener: () => void): Disposable;
  readonly stats: NodeStatsEndpoints;
  /** What was collected and when the machine last shut down, for metrics. */
  readonly counts: readonly Accumulator[];
  /** Each image with the reason it is still here. */
  explainImages(signal: AbortSignal): Promise<readonly ImageVerdict[]>;
  /** For `berth pressure --what-if`. */
  pressureWhatIf(signal: AbortSignal): Promise<string>;
  start(): void;
}

export function openHousekeeping(agent: AgentConfig, config: HousekeepingConfig, deps: HousekeepingDeps): Housekeeping {
  const stop = new AbortController();
  const listeners = new Set<() => void>();
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const { clock, log, events, host, desired } = deps;
  const node: ObjectReference = { kind: 'Node', name: agent.nodeName, uid: agent.nodeName };
  const stats = openNodeStats(
    {
      nodeName: agent.nodeName,
      rootDir: agent.paths.rootDir,
      maxAgeMs: config.volumeStatsEveryMs,
      runtimeCgroups: agent.runtime.cgroups,
      runtimeSocket: runtimeSocket(agent.runtime.endpoint, Object.values(agent.runtime.ociRuntimes)),
      systemCgroups: agent.kubelet?.systemCgroups || undefined,
    },
    deps,
    stop.signal,
  );
  const { monitor, filesystems } = stats;
  const garbage = openGarbage(agent.paths, config, node, deps);
  const thresholds = parseThresholds(config.eviction, config.reservations.enforce.includes('pods'));
  const evictionPods = new EvictionPods();
  const measure = async (active: readonly Pod[], disk: boolean): Promise<EvictionPod[]> => {
    if (disk) await filesystems.measureNow();
    const usages = new Map(monitor.snapshot(0).pods.map((usage) => [usage.pod.uid, usage]));
    return active.map((pod) => evictionPods.of(pod, usages.get(podUidOf(pod)), filesystems.of(podUidOf(pod))));
  };
  const oom = new OomWatch();
  const look = async (): Promise<NodeLook> => {
    const snapshot = monitor.node();
    const report = oom.look(snapshot, () => monitor.snapshot(0));
    for (const { podUid, container, kills } of report?.containers ?? [])
      log.warn({ podUid, container, kills }, 'the kernel killed processes of a container for want of memory');
    for (const { process: victim, pid } of report?.system ?? []) {
      const message = `System OOM encountered, victim process: ${victim}, pid: ${pid}`;
      events.record(node, 'Warning', 'SystemOOM', message);
    }
    const found = await filesystems.node(0);
    const podMemory = quantityValue(deps.capacity['memory'] ?? '0');
    return { layout: found.layout, observations: observeSignals(snapshot, found, host.memoryBytes, podMemory) };
  };
  const eviction = new EvictionManager(
    {
      thresholds,
      maxGraceSeconds: config.eviction.maxPodGraceSeconds,
      transitionMs: config.eviction.transitionMs,
    },
    {
      clock,
      log,
      events,
      node,
      look,
      measure,
      activePods: () => desired.active(),
      filesystemsOf: (uid) =>
        config.localStorageLimits ? filesystems.of(uid) : { rootfs: new Map(), logs: new Map(), volumes: [] },
      reclaim: {
        'dead-containers': async (signal) => (await garbage.containers.collect({ endedPodsToo: true }, signal)) > 0,
        'unused-images': async (signal) => (await garbage.images.removeUnused(signal)).removed.length > 0,
      },
      terminate: (uid, termination) => desired.terminate(uid, termination),
      isCleanedUp: (uid) => isCleanedUp(uid, deps) && isOver(uid, deps),
      evicted: (signal, statsAgeMs) => deps.evicted(signal, statsAgeMs),
      conditionsChanged: () => tell(),
    },
  );
  const shutdown: NodeShutdown = new NodeShutdown(shutdownGroups(config.shutdown), {
    ...{ clock, log, events, node },
    logind: new BusctlLogind(deps.run),
    rootDir: agent.paths.rootDir,
    activePods: () => desired.active(),
    terminate: (uid, termination) => desired.terminate(uid, termination),
    isCleanedUp: (uid) => isCleanedUp(uid, deps),
    statusChanged: async (signal) => {
      tell();
      await deps.toldOfShutdown(shutdown.shuttingDown, signal);
    },
  });
  const running: Promise<void>[] = [];
  return {
    get pressures() {
      return eviction.conditions;
    },
    get shuttingDown() {
      return shutdown.shuttingDown;
    },
    onChange(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    stats,
    counts: [...stats.counts, ...garbage.images.counts, ...shutdown.counts],
    explainImages: (signal) => garbage.images.explain(signal),
    pressureWhatIf: (signal) => whatIf(signal, thresholds),
    start: () => {
      running.push(...garbage.start(stop.signal), eviction.run(stop.signal), shutdown.run(stop.signal));
      const { kubeletCgroups: own = '', systemCgroups: system = '' } = agent.kubelet ?? {};
      const named = { own: own || undefined, system: system || undefined };
      running.push(new MachineCgroups({ hierarchy: deps.hierarchy, ...named }, { clock, log }).run(stop.signal));
      running.push(enforceAllocatable(deps.podsLimits, config.reservations, { ...deps, node }, stop.signal));
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException('the agent stops', 'AbortError'));
      await Promise.all(running);
    },
  };

  async function whatIf(signal: AbortSignal, all: readonly Threshold[]): Promise<string> {
    const [{ layout, observations }, pods, unusedImageBytes] = await Promise.all([
      look(),
      measure(desired.active(), true),
      garbage.images.reclaimableBytes(signal),
    ]);
    return pressureWhatIf({ observations, layout, thresholds: all, pods, unusedImageBytes });
  }
}

/** Nothing of it runs, and nothing is mounted for it. */
function isCleanedUp(uid: PodUid, { loops, volumes }: HousekeepingDeps): boolean {
  const seen = loops.live(uid)?.seen();
  const runs = seen?.containers.some(({ state }) => state === 'running' || state === 'created') ?? false;
  const ready = seen?.sandboxes.some((sandbox) => sandbox.ready) ?? false;
  return !runs && !ready && !volumes.isPresent(uid);
}

/** Its status has told of its end: only then are its containers, which the end is told from, collected. */
function isOver(uid: PodUid, { loops }: HousekeepingDeps): boolean {
  return !loops.live(uid) || isTerminalPhase(loops.last(uid)?.status?.phase);
}
