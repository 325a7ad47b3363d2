import type { Clock } from '../base/clock.js';
import { errorText } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { runEvery } from '../base/run-every.js';
import type { CriRuntime } from '../cri/index.js';
import {
  podUidOf,
  quantityValue,
  type ObjectReference,
  type Pod,
  type PodUid,
  type ResourceList,
} from './api/index.js';
import type { AgentConfig } from './config/agent-config.js';
import type { EventRecorder } from './events/event-recorder.js';
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
} from './eviction/index.js';
import {
  ContainerCollector,
  ImageCollector,
  imageUsers,
  LogRotator,
  sweepLogs,
  type ImageVerdict,
  type KnownImage,
  type PodLife,
} from './garbage/index.js';
import type { HousekeepingConfig } from './housekeeping-config.js';
import type { PodLogFolders } from './logs/pod-log-folders.js';
import type { HostFacts } from './node/host-facts.js';
import type { RuntimeObserver } from './observe/runtime-observer.js';
import type { PodLoops } from './podloop/pod-loops.js';
import type { DesiredPods } from './pods/desired-pods.js';
import type { Kubepods } from './resources/cgroups/kubepods.js';
import type { CgroupHierarchy } from './resources/cgroups/hierarchy.js';
import {
  buildSummary,
  cadvisorMetrics,
  FilesystemUsages,
  monitoredPod,
  resourceMetrics,
  ResourceMonitor,
  type MonitoredPod,
  type Summary,
} from './stats/index.js';
import type { VolumeManager } from './volumes/volume-manager.js';

export interface HousekeepingDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly host: HostFacts;
  readonly hierarchy: CgroupHierarchy;
  readonly runtime: CriRuntime;
  /** What the runtime's own image store knows, where there is one. */
  readonly knownImages?: (() => readonly KnownImage[]) | undefined;
  readonly loops: PodLoops;
  readonly desired: DesiredPods;
  readonly volumes: Pick<VolumeManager, 'usage' | 'isPresent'>;
  readonly cgroups: Kubepods;
  readonly observer: RuntimeObserver;
  readonly logs: PodLogFolders;
  readonly capacity: ResourceList;
  sourcesSynced(): boolean;
  conditionsChanged(conditions: ReadonlySet<PressureCondition>): void;
  evicted(signal: string): void;
}

/** Keeps the node fit for its pods, and tells what they use. */
export interface Housekeeping extends AsyncDisposable {
  /** The pressures the node is under now. */
  readonly pressures: ReadonlySet<PressureCondition>;
  summary(options: { readonly onlyCpuAndMemory: boolean }): Promise<Summary>;
  resourceMetrics(): string;
  cadvisorMetrics(): Promise<string>;
  /** Each image with the reason it is still here. */
  explainImages(signal: AbortSignal): Promise<readonly ImageVerdict[]>;
  /** For `berth pressure --what-if`. */
  pressureWhatIf(signal: AbortSignal): Promise<string>;
  start(): void;
}

const imageEveryMs = 300_000;
const containerEveryMs = 60_000;

export function openHousekeeping(agent: AgentConfig, config: HousekeepingConfig, deps: HousekeepingDeps): Housekeeping {
  const stop = new AbortController();
  const { clock, log, events, host, runtime, loops, desired } = deps;
  const node: ObjectReference = { kind: 'Node', name: agent.nodeName, uid: agent.nodeName };
  const pods = (): MonitoredPod[] =>
    desired.all().flatMap(({ pod, uid }) => {
      const seen = loops.live(uid)?.seen();
      return seen ? [monitoredPod(pod, seen, deps.cgroups.parentOf(pod))] : [];
    });
  const monitor = new ResourceMonitor(
    { hierarchy: deps.hierarchy, system: [{ name: 'pods', cgroup: deps.cgroups.root }] },
    { clock, pods },
  );
  const filesystems = new FilesystemUsages(
    { rootDir: agent.paths.rootDir, maxAgeMs: config.volumeStatsEveryMs },
    {
      clock,
      log,
      runtime: runtime.runtime,
      volumes: (uid, signal) => deps.volumes.usage(uid, signal),
      pods,
      imageFilesystems: async (signal) => {
        const { imageFilesystems, containerFilesystems } = await runtime.images.imageFsInfo({}, signal);
        return {
          images: imageFilesystems?.[0]?.fsId?.mountpoint,
          containers: containerFilesystems?.[0]?.fsId?.mountpoint,
        };
      },
    },
    stop.signal,
  );
  const garbage = openGarbage(agent, config, node, deps);
  const thresholds = parseThresholds(config.eviction, config.reservations.enforce.includes('pods'));
  const evictionPods = new EvictionPods();
  const measure = async (active: readonly Pod[], disk: boolean): Promise<EvictionPod[]> => {
    if (disk) await filesystems.measure();
    const usages = new Map(monitor.snapshot(0).pods.map((usage) => [usage.pod.uid, usage]));
    return active.map((pod) => evictionPods.of(pod, usages.get(podUidOf(pod)), filesystems.of(podUidOf(pod))));
  };
  const oom = new OomWatch();
  const look = async (): Promise<NodeLook> => {
    const snapshot = monitor.node();
    const report = oom.look(snapshot, () => monitor.snapshot(0));
    for (const { podUid, container, kills } of report?.containers ?? [])
      log.warn({ podUid, container, kills }, 'the kernel killed processes of a container for want of memory');
    if (report && report.system > 0)
      events.record(node, 'Warning', 'SystemOOM', `System OOM encountered, ${report.system} processes killed`);
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
        'dead-containers': (signal) => garbage.containers.collect({ endedPodsToo: true }, signal),
        'unused-images': (signal) => garbage.images.removeUnused(signal),
      },
      terminate: (uid, termination) => desired.terminate(uid, termination),
      isCleanedUp: (uid) => isCleanedUp(uid, deps),
      evicted: (signal) => deps.evicted(signal),
      conditionsChanged: (conditions) => deps.conditionsChanged(conditions),
    },
  );
  const running: Promise<void>[] = [];
  return {
    get pressures() {
      return eviction.conditions;
    },
    async summary({ onlyCpuAndMemory }) {
      return buildSummary({
        nodeName: agent.nodeName,
        memoryBytes: host.memoryBytes,
        snapshot: monitor.snapshot(),
        filesystems: onlyCpuAndMemory ? undefined : await filesystems.node(),
        podFilesystems: ({ pod }) => filesystems.of(pod.uid),
      });
    },
    resourceMetrics: () => resourceMetrics(monitor.snapshot()),
    async cadvisorMetrics() {
      return cadvisorMetrics({
        snapshot: monitor.snapshot(),
        cpus: host.cpus,
        memoryBytes: host.memoryBytes,
        filesystems: await filesystems.node(),
        podFilesystems: ({ pod }) => filesystems.of(pod.uid),
      });
    },
    explainImages: (signal) => garbage.images.explain(signal),
    pressureWhatIf: (signal) => whatIf(signal, thresholds),
    start: () => void running.push(...garbage.start(stop.signal), eviction.run(stop.signal)),
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException('the agent stops', 'AbortError'));
      await Promise.all(running);
    },
  };

  async function whatIf(signal: AbortSignal, all: readonly Threshold[]): Promise<string> {
    const [{ layout, observations }, measured, verdicts] = await Promise.all([
      look(),
      measure(desired.active(), true),
      garbage.images.explain(signal),
    ]);
    const free = verdicts.filter(({ stays }) => stays === undefined || stays.why === 'enough-space');
    const unusedImageBytes = free.reduce((sum, { image }) => sum + image.freesBytes, 0);
    return pressureWhatIf({ observations, layout, thresholds: all, pods: measured, unusedImageBytes });
  }
}

/** Nothing of it runs, and nothing is mounted for it. */
function isCleanedUp(uid: PodUid, { loops, volumes }: HousekeepingDeps): boolean {
  const seen = loops.live(uid)?.seen();
  const runs = seen?.containers.some(({ state }) => state === 'running' || state === 'created') ?? false;
  const ready = seen?.sandboxes.some((sandbox) => sandbox.ready) ?? false;
  return !runs && !ready && !volumes.isPresent(uid);
}

interface Garbage {
  readonly images: ImageCollector;
  readonly containers: ContainerCollector;
  start(signal: AbortSignal): Promise<void>[];
}

function openGarbage(
  agent: AgentConfig,
  config: HousekeepingConfig,
  node: ObjectReference,
  deps: HousekeepingDeps,
): Garbage {
  const { clock, log, events, runtime, loops, desired, observer, logs } = deps;
  const images = new ImageCollector(config.images, {
    clock,
    log,
    events,
    node,
    images: runtime.images,
    known: deps.knownImages,
    users: (signal) =>
      imageUsers({ runtime: runtime.runtime, images: runtime.images, wantedPods: () => desired.active() }, signal),
  });
  const lifeOf = (uid: PodUid): PodLife => {
    if (!desired.get(uid)) return deps.sourcesSynced() ? 'absent' : 'alive';
    // Only once its status tells of the end: until then the containers are what it is told from.
    const { phase } = loops.last(uid)?.status ?? {};
    return phase === 'Failed' || phase === 'Succeeded' ? 'ended' : 'alive';
  };
  const containers = new ContainerCollector(config.containers, {
    clock,
    log,
    runtime: runtime.runtime,
    pods: () =>
      loops.uids().flatMap((uid) => {
        const live = loops.live(uid);
        return live ? [{ uid, life: lifeOf(uid), seen: live.seen() }] : [];
      }),
    removeLogs: (container) => logs.removeInstance(container),
    changed: (uid) => {
      observer.invalidate(uid);
      loops.wakeKnown(uid);
    },
  });
  const rotator = new LogRotator(config.logs, {
    clock,
    log,
    reopen: async (containerId, signal) => {
      await runtime.runtime.reopenContainerLog({ containerId }, signal);
    },
  });
  const runningLogs = (): { containerId: string; path: string }[] =>
    loops
      .uids()
      .flatMap((uid) =>
        (loops.live(uid)?.seen().containers ?? [])
          .filter(({ state, logPath }) => state === 'running' && logPath !== '')
          .map(({ id, logPath }) => ({ containerId: id, path: logPath })),
      );
  const sweep = async (signal: AbortSignal): Promise<void> => {
    if (!deps.sourcesSynced()) return;
    try {
      await containers.collect({ endedPodsToo: false }, signal);
    } catch (err) {
      signal.throwIfAborted();
      events.record(node, 'Warning', 'ContainerGCFailed', errorText(err));
      throw err;
    }
    const isKnown = (uid: PodUid): boolean => desired.get(uid) !== undefined || loops.live(uid) !== undefined;
    await sweepLogs(agent.paths, { log, isKnown, removePod: (uid) => logs.removePod(uid) }, signal);
  };
  return {
    images,
    containers,
    start: (signal) => [
      runEvery(
        { what: 'log rotation', everyMs: config.logs.everyMs },
        async (s) => void (await rotator.rotateAll(runningLogs(), s)),
        deps,
        signal,
      ),
      runEvery({ what: 'container garbage collection', everyMs: containerEveryMs }, sweep, deps, signal),
      runEvery(
        { what: 'image garbage collection', everyMs: imageEveryMs },
        async (s) => void (await images.collect(s)),
        deps,
        signal,
      ),
    ],
  };
}
