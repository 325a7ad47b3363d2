import { join } from 'node:path';
import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/log.js';
import type { CallRecorder } from '../base/call-recorder.js';
import type { RunProgram } from '../base/run-program.js';
import type { CriRuntime } from '../cri/index.js';
import { evictionReserve } from './eviction/index.js';
import { podUidOf, type Quantity } from './api/index.js';
import { type AgentConfig } from './config/agent-config.js';
import { housekeepingOf } from './config/housekeeping-of.js';
import { PodFiles } from './containers/pod-files.js';
import { terminationMessage } from './containers/termination-message.js';
import type { ControlPlane } from './controlplane/control-plane.js';
import { devicesUsers, openDevices, type Devices } from './devices/index.js';
import type { ObjectStore } from './controlplane/local/object-store.js';
import type { FaultPoint } from './fault-point.js';
import type { EventLog } from './events/event-log.js';
import { podReference } from './events/references.js';
import { Lifetimes } from './lifetimes.js';
import { openHousekeeping, type Housekeeping } from './open-housekeeping.js';
import { PodLogFolders } from './logs/pod-log-folders.js';
import type { KnownImage } from './garbage/index.js';
import type { HostFacts } from './node/host-facts.js';
import { nodeCapacity } from './node/node-capacity.js';
import { RuntimeObserver } from './observe/runtime-observer.js';
import type { PodLoops } from './podloop/pod-loops.js';
import type { DesiredPods } from './pods/desired-pods.js';
import { PodSources } from './pods/pod-sources.js';
import { PodStatuses } from './pods/pod-statuses.js';
import { ReferenceWatch } from './pods/reference-watch.js';
import { wireConfigs } from './wiring/wire-configs.js';
import { wireDesired } from './wiring/wire-desired.js';
import { wireExecutors } from './wiring/wire-executors.js';
import { startSteps, wireLoops } from './wiring/wire-loops.js';
import { wireProbes } from './wiring/wire-probes.js';
import { wireVolumes } from './wiring/wire-volumes.js';
import { WorldWatch } from './pods/world-watch.js';
import { ProbeRecord } from './probes/probe-record.js';
import { detectHierarchy } from './resources/cgroups/hierarchy.js';
import { allocatableOf, kubepodsLimits } from './resources/node-allocatable.js';
import { openKubepods } from './resources/cgroups/open-kubepods.js';
import type { RuntimeHealth } from './runtimes/runtime-health.js';
import { manifestSources } from './pods/manifest-sources.js';
import type { AgentMetrics } from './serving/metrics/index.js';
import { StatusPublisher } from './status/status-publisher.js';

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
}

/** Everything that turns desired pods into running ones, wired. */
export interface PodWorld extends AsyncDisposable {
  readonly loops: PodLoops;
  readonly desired: DesiredPods;
  readonly sources: PodSources;
  readonly statuses: PodStatuses;
  readonly health: RuntimeHealth;
  /** What pods may use of the machine. */
  readonly allocatable: Readonly<Record<string, Quantity>>;
  readonly devices: Devices;
  readonly housekeeping: Housekeeping;
  /** Resolves when what earlier runs left of pods nobody wants any more is gone. */
  readonly tidy: Promise<void>;
  /** Reads what is there, then lets the sources speak. */
  start(): void;
}

export async function openPodWorld(config: AgentConfig, deps: PodWorldDeps, signal: AbortSignal): Promise<PodWorld> {
  await using opening = new Lifetimes();
  const { log, clock, events, host, controlPlane, startedAt } = deps;
  const { runtime, images } = deps.runtime;
  const { paths } = config;
  const hierarchy = await detectHierarchy();
  const capacity = nodeCapacity(host, config.limits.maxPods);
  const fitness = housekeepingOf(config.kubelet);
  const allocatable = allocatableOf(capacity, fitness.reservations, evictionReserve(fitness.eviction, capacity));

  const cgroups = await openKubepods(
    { ...config.cgroups, limits: kubepodsLimits(capacity, fitness.reservations, host.maxPids) },
    hierarchy,
    { log, clock, run: deps.run },
    signal,
  );
  const devices = opening.use(
    await openDevices(config, { clock, log, run: deps.run, recorder: deps.calls, events, controlPlane }, signal),
  );
  const volumes = opening.use(
    await wireVolumes(
      config,
      { run: deps.run, recorder: deps.calls, clock, log, events, controlPlane, host, devices, allocatable },
      signal,
    ),
  );
  const files = new PodFiles(paths.rootDir);
  const logs = new PodLogFolders({ podLogsDir: paths.podLogsDir, containerLogsDir: paths.containerLogsDir });
  const configs = wireConfigs(config, {
    ...{ controlPlane, host, hierarchy, allocatable, cgroups, volumes, files, images },
    grants: (pod, container) => devices.pods.grantsOf(pod, container),
    runningId: (pod, container) => loops.runningId(podUidOf(pod), container),
  });
  const probeRecord = opening.use(await ProbeRecord.open(join(paths.runDir, 'probes.json'), log));
  const probes = opening.use(
    wireProbes({ clock, log, events, runtime, metrics: deps.metrics, startedAt, record: probeRecord }),
  );
  const observer = new RuntimeObserver({
    runtime,
    runtimeName: async (asked) => (await runtime.version({}, asked)).runtimeName ?? 'unknown',
    terminationMessage,
  });
  const executors = wireExecutors(config, {
    ...{ clock, log, events, controlPlane, cri: deps.runtime, configs, volumes, cgroups, logs },
    folders: files,
    grants: devices.pods,
    reject: (uid, reason, message) => desired.reject(uid, reason, message),
    progress: (uid, container, text) => statuses.progress(uid, container, text),
  });
  const publisher = opening.use(new StatusPublisher({ coalesceMs: 1000 }, { clock, log, controlPlane }));
  const statuses = new PodStatuses({ publisher, controlPlane, events, log });
  const references = opening.use(
    new ReferenceWatch({ controlPlane, changed: (uid) => loops.retryKinds(uid, startSteps) }),
  );
  const loops: PodLoops = opening.use(
    wireLoops(config, {
      ...{ clock, log, executors, observer, probes, logs, statuses, references, at: deps.at },
      desired: () => desired,
      facts: {
        ...{ volumes, probes, agentStartedAt: startedAt, hostIps: host.addresses, devices: devices.pods },
        observe: (uid, asked) => observer.observe(uid, asked),
        network: () => watch.health.network,
        sourcesSynced: () => sources.synced,
        lastStatus: (uid) => statuses.of(uid),
        probedBefore: (containerId) => probeRecord.before(containerId),
      },
    }),
  );
  const desired = wireDesired(config, {
    ...{ clock, events, devices, allocatable },
    housekeeping: () => housekeeping,
    wake: (uid) => loops.wake(uid),
  });
  const sources = opening.use(
    new PodSources({
      ...{ log, controlPlane },
      manifests: manifestSources(config, { log, clock }),
      merged: (pods, synced) => watch.apply(() => desired.apply(pods, synced)),
      objects: (objects) => deps.store?.setManifestObjects(objects),
      ignored: (pod, message) => events.record(podReference(pod), 'Warning', 'FailedValidation', message),
    }),
  );
  const housekeeping: Housekeeping = opening.use(
    openHousekeeping(config, fitness, {
      ...{ clock, log, events, host, hierarchy, loops, desired, volumes, cgroups, observer, logs, capacity },
      ...{ runtime: deps.runtime, run: deps.run, knownImages: deps.knownImages },
      sourcesSynced: () => sources.synced,
      evicted: () => {},
    }),
  );
  const watch: WorldWatch = opening.use(
    new WorldWatch({
      ...{ clock, log, runtime, observer, loops, desired, sources, volumes, probes },
      onNetworkChange: deps.onNetworkChange,
      traces: [cgroups, files, logs, devices.pods],
    }),
  );
  await watch.open(signal);
  const owned = opening.release();
  return {
    ...{ loops, desired, sources, statuses, devices, housekeeping, tidy: watch.tidy },
    get allocatable() {
      return { ...allocatable, ...devices.amounts().allocatable };
    },
    get health() {
      return watch.health;
    },
    start: () => {
      devices.start(devicesUsers(desired, loops, (uid) => statuses.of(uid)?.phase));
      watch.start();
      sources.start();
      housekeeping.start();
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}
