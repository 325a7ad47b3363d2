import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { RunProgram } from '../../base/run-program.js';
import type { CriRuntime, RuntimeService } from '../../cri/index.js';
import { KnownNode } from '../admission/known-node.js';
import { podUidOf, type PodUid, type Quantity } from '../api/index.js';
import { type AgentConfig } from '../config/agent-config.js';
import { terminationMessage } from '../containers/termination-message.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import { devicesUsers, type Devices } from '../devices/index.js';
import type { ObjectStore } from '../controlplane/local/object-store.js';
import type { FaultPoint } from '../fault-point.js';
import type { EventLog } from '../events/event-log.js';
import { podReference } from '../events/references.js';
import { Lifetimes } from '../lifetimes.js';
import { openImagePuller } from '../images/open-image-puller.js';
import { openHousekeeping, type Housekeeping } from './open-housekeeping.js';
import type { KnownImage } from '../garbage/index.js';
import type { HostFacts } from '../node/host-facts.js';
import { toldToPods } from '../node/host-ips.js';
import { RuntimeObserver } from '../observe/runtime-observer.js';
import type { PodLoops } from '../podloop/pod-loops.js';
import type { DesiredPods } from '../pods/desired-pods.js';
import { PodSources } from '../pods/pod-sources.js';
import { PodStatuses } from '../pods/pod-statuses.js';
import { ReferenceWatch } from '../pods/reference-watch.js';
import { nodeToldOfShutdown } from '../shutdown/index.js';
import { openGrounds } from './open-grounds.js';
import { wireConfigs } from './wire-configs.js';
import { wireDesired } from './wire-desired.js';
import { wireExecutors } from './wire-executors.js';
import { startSteps, wireLoops } from './wire-loops.js';
import { wireProbes } from './wire-probes.js';
import { resizeSteps, wireResizes } from './wire-resizes.js';
import type { VolumeManager } from '../volumes/index.js';
import { sweepVolumes } from './wire-volumes.js';
import { WorldWatch } from '../pods/world-watch.js';
import { ProbeRecord } from '../probes/probe-record.js';
import type { OpenedRuntime } from '../runtimes/opened-runtime.js';
import type { RuntimeHealth } from '../runtimes/runtime-health.js';
import { manifestSources } from '../pods/manifest-sources.js';
import type { AgentMetrics, WorkCounts } from '../serving/metrics/index.js';
import { StatusPublisher } from '../status/status-publisher.js';

export interface PodWorldDeps {
  readonly log: Logger;
  readonly clock: Clock;
  readonly startedAt: number;
  readonly host: HostFacts;
  readonly calls: CallRecorder;
  readonly events: EventLog;
  readonly controlPlane: ControlPlane;
  /** Takes the objects that manifests hold, on a machine without a cluster. */
  readonly store: ObjectStore | undefined;
  readonly runtime: CriRuntime;
  readonly run: RunProgram;
  readonly at?: FaultPoint | undefined;
  /** Calls back when the network's configuration changed. */
  readonly onNetworkChange?: ((listener: () => void) => () => void) | undefined;
  readonly metrics: AgentMetrics;
  /** What the runtime's own image store knows of its images, where there is one. */
  readonly knownImages?: (() => readonly KnownImage[]) | undefined;
  readonly countLayers?: OpenedRuntime['countLayers'];
}

/** Everything that turns desired pods into running ones, wired. */
export interface PodWorld extends AsyncDisposable {
  readonly loops: PodLoops;
  readonly desired: DesiredPods;
  readonly sources: PodSources;
  readonly statuses: PodStatuses;
  readonly health: RuntimeHealth;
  /**
   * Calls back when the runtime or its network became ready, stopped being so, or says another reason; with a pod where that pod could
   * not be looked at.
   */
  onHealthChange(listener: (uid?: PodUid) => void): Disposable;
  /** What pods may use of the machine. */
  readonly allocatable: Readonly<Record<string, Quantity>>;
  readonly devices: Devices;
  readonly volumes: Pick<VolumeManager, 'underWay'>;
  readonly housekeeping: Housekeeping;
  /** Resolves when what earlier runs left of pods nobody wants any more is gone. */
  readonly tidy: Promise<void>;
  /** Reads what is there, then lets the sources speak. */
  start(): void;
}

export async function openPodWorld(config: AgentConfig, deps: PodWorldDeps, signal: AbortSignal): Promise<PodWorld> {
  await using opening = new Lifetimes();
  const { log, clock, events, controlPlane, startedAt, metrics } = deps;
  const known = opening.use(new KnownNode(config.nodeName, controlPlane));
  const host = toldToPods(deps.host, () => known.current);
  const { runtime, images } = deps.runtime;
  const progress: PodStatuses['progress'] = (uid, container, text) => statuses.progress(uid, container, text);
  const wake = (uid: PodUid): void => loops.wakeKnown(uid);
  const puller = await openImagePuller(config, { ...deps, images, progress, counts: metrics.work }, signal);
  const grounds = opening.use(await openGrounds(config, { ...deps, host, puller }, signal));
  const { hierarchy, capacity, allocatable, podsLimits, exclusive, cgroups, devices, volumes, files, logs } = grounds;
  const granted = exclusive.grants({
    ...{ devices: devices.pods, wake },
    ending: () => users.ending(),
    wakeAll: () => loops.wakeAll(),
  });
  const configs = wireConfigs(config, {
    ...{ controlPlane, host, hierarchy, allocatable, cgroups, volumes, files, images, runtime, log },
    grants: (pod, container) => devices.pods.grantsOf(pod, container),
    placeOf: granted.placeOf,
    runningId: (pod, container) => loops.runningId(podUidOf(pod), container),
  });
  const probeRecord = opening.use(await ProbeRecord.open(join(config.paths.runDir, 'probes.json'), log));
  const probes = opening.use(wireProbes({ ...deps, runtime, record: probeRecord }));
  const observer = observerOf(runtime, metrics.work);
  const { sizes, statusChanged } = opening.use(
    await wireResizes(config, {
      ...{ clock, log, events, counts: metrics.work.resizes },
      node: () => ({ allocatable, exclusiveCpus: exclusive.cpus, exclusiveMemory: exclusive.memory }),
      desired: () => desired,
      statusOf: (uid) => statuses.of(uid),
      apply: (pods, synced) => watch.apply(() => desired.apply(pods, synced)),
      changed: (uid) => loops.retryKinds(uid, resizeSteps),
    }),
  );
  const executors = wireExecutors(config, {
    ...{ clock, log, events, work: metrics.work, cri: deps.runtime, configs, volumes, cgroups, logs, images: puller },
    ...{ folders: files, sizes, grants: granted.grants, cpusOf: granted.cpusOf, observer, wake },
    reject: (uid, reason, message) => desired.reject(uid, reason, message),
  });
  const written = (seconds: number): void => metrics.work.statusWritten(seconds);
  const publisher = opening.use(new StatusPublisher({ coalesceMs: 1000 }, { clock, log, controlPlane, written }));
  const statuses = new PodStatuses({ publisher, controlPlane, events, log });
  opening.use(statuses.onChange(statusChanged));
  const references = opening.use(
    new ReferenceWatch({ controlPlane, changed: (uid) => loops.retryKinds(uid, startSteps) }),
  );
  const loops: PodLoops = opening.use(
    wireLoops(config, {
      ...{ clock, log, host, executors, observer, probes, logs, statuses, references, at: deps.at },
      desired: () => desired,
      facts: {
        ...{ volumes, probes, agentStartedAt: startedAt, sizes, cpusOf: granted.cpusOf },
        devices: { waitOf: (uid) => granted.waitOf(uid), healthOf: (pod) => devices.pods.healthOf(pod) },
        observe: (uid, asked) => watch.observe(uid, asked),
        network: () => watch.health.network,
        sourcesSynced: () => sources.synced,
        lastStatus: (uid) => statuses.of(uid),
        probedBefore: (containerId) => probeRecord.before(containerId),
      },
    }),
  );
  const desired = wireDesired(config, {
    ...{ clock, events, devices, allocatable, host, known },
    health: () => watch.health,
    housekeeping: () => housekeeping,
    admitted: (pod) => sizes.admitted(pod),
    preempted: (resource) => metrics.work.preempted(resource),
    wake: (uid) => loops.wake(uid),
  });
  const users = devicesUsers(desired, loops, (uid) => statuses.of(uid)?.phase);
  const sources = opening.use(
    new PodSources({
      ...{ log, controlPlane },
      manifests: manifestSources(config, { log, clock }),
      merged: (pods, synced) => sizes.incoming(pods, synced),
      objects: (objects, complete) => deps.store?.setManifestObjects(objects, complete),
      ignored: (pod, message) => events.record(podReference(pod), 'Warning', 'FailedValidation', message),
    }),
  );
  const housekeeping: Housekeeping = opening.use(
    openHousekeeping(config, grounds.fitness, {
      ...{ clock, log, events, host, hierarchy, loops, desired, volumes, cgroups, observer, logs, capacity },
      ...{ runtime: deps.runtime, run: deps.run, podsLimits },
      ...{ knownImages: deps.knownImages, countLayers: deps.countLayers },
      sourcesSynced: () => sources.synced,
      toldOfShutdown: (isDown, asked) => nodeToldOfShutdown(config.nodeName, isDown, controlPlane, asked),
      evicted: (signal, statsAgeMs) => metrics.evicted(signal, statsAgeMs / 1000),
    }),
  );
  metrics.add([...exclusive.counts, ...housekeeping.counts]);
  const watch: WorldWatch = opening.use(
    new WorldWatch({
      ...{ clock, log, runtime, observer, loops, desired, sources, statuses, volumes, probes },
      requestTimeoutMs: config.runtime.requestTimeoutMs,
      onNetworkChange: deps.onNetworkChange,
      traces: [cgroups, files, logs, devices.pods, granted],
    }),
  );
  await watch.open(signal);
  const owned = opening.release();
  return {
    ...{ loops, desired, sources, statuses, devices, volumes, housekeeping, tidy: watch.tidy },
    get allocatable() {
      return { ...allocatable, ...devices.amounts().allocatable };
    },
    get health() {
      return watch.health;
    },
    onHealthChange: (listener) => watch.onHealthChange(listener),
    start: () => {
      devices.start({ ...users, ...(granted.affinity && { affinity: granted.affinity }), exclusive: exclusive.told });
      watch.start();
      void sweepVolumes(watch.tidy, volumes, log, signal);
      sources.start();
      housekeeping.start();
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

function observerOf(runtime: RuntimeService, work: WorkCounts): RuntimeObserver {
  return new RuntimeObserver({
    runtime,
    runtimeName: async (signal) => (await runtime.version({}, signal)).runtimeName ?? 'unknown',
    terminationMessage,
    looked: (at, seconds) => work.relisted(at, seconds),
  });
}
