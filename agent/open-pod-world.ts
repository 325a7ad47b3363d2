import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/log.js';
import type { CallRecorder } from '../base/call-recorder.js';
import type { RunProgram } from '../base/run-program.js';
import type { CriRuntime } from '../cri/index.js';
import { admitPod } from './admission/admit-pod.js';
import { PodAmounts } from './admission/pod-amounts.js';
import { preempted, preemptionMessage } from './admission/preempted.js';
import { isStaticPod, podUidOf, type Pod, type PodUid, type Quantity } from './api/index.js';
import { kubeVersion, type AgentConfig } from './config/agent-config.js';
import { CriConfigBuilder } from './containers/config-builder.js';
import { environmentSources } from './containers/environment-sources.js';
import { PodFiles } from './containers/pod-files.js';
import { terminationMessage } from './containers/termination-message.js';
import type { ControlPlane } from './controlplane/control-plane.js';
import { devicesUsers, openDevices, type Devices } from './devices/index.js';
import type { ObjectStore } from './controlplane/local/object-store.js';
import type { FaultPoint } from './fault-point.js';
import type { EventLog } from './events/event-log.js';
import { podReference } from './events/references.js';
import { describeFailure, executeStep, makeExecutors } from './executors/index.js';
import { LifecycleHooks } from './hooks/lifecycle-hooks.js';
import { ImagePuller } from './images/image-puller.js';
import { imageUser } from './images/image-user.js';
import { Lifetimes } from './lifetimes.js';
import { openHousekeeping, type Housekeeping } from './open-housekeeping.js';
import { PodLogFolders } from './logs/pod-log-folders.js';
import { parseResolvConf } from './network/dns-config.js';
import { CachedFile } from './node/cached-file.js';
import { defaultHousekeeping } from './housekeeping-config.js';
import type { KnownImage } from './garbage/index.js';
import type { HostFacts } from './node/host-facts.js';
import { nodeCapacity } from './node/node-capacity.js';
import { RuntimeObserver } from './observe/runtime-observer.js';
import { nextTryAfter } from './podloop/backoff.js';
import { planPod } from './podloop/plan-pod.js';
import { PodLoops } from './podloop/pod-loops.js';
import type { Step } from './podloop/steps.js';
import { StartGate } from './podloop/start-gate.js';
import { DesiredPods } from './pods/desired-pods.js';
import { gatherFacts } from './pods/gather-facts.js';
import { PodSources } from './pods/pod-sources.js';
import { PodStatuses } from './pods/pod-statuses.js';
import { ReferenceWatch } from './pods/reference-watch.js';
import { WorldWatch } from './pods/world-watch.js';
import { grpcHealth } from './probes/grpc-health.js';
import { httpGet } from './probes/http-get.js';
import { PodProbes } from './probes/pod-probes.js';
import { ProbeRecord } from './probes/probe-record.js';
import { runProbe } from './probes/run-probe.js';
import { detectHierarchy } from './resources/cgroups/hierarchy.js';
import { kubepodsLimits, noReservations } from './resources/node-allocatable.js';
import { openKubepods } from './resources/cgroups/open-kubepods.js';
import type { RuntimeHealth } from './runtimes/runtime-health.js';
import { manifestSources } from './pods/manifest-sources.js';
import type { AgentMetrics } from './serving/metrics/index.js';
import { deriveStatus } from './status/index.js';
import { StatusPublisher } from './status/status-publisher.js';
import { openVolumeManager } from './volumes/index.js';

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

/** Steps that read what a pod's containers refer to. */
const startSteps: ReadonlySet<Step['kind']> = new Set(['ensure-image', 'start-container']);

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
  const allocatable = capacity;
  const node = { nodeName: config.nodeName, hostIps: host.addresses };

  const cgroups = await openKubepods(
    { ...config.cgroups, limits: kubepodsLimits(capacity, noReservations, host.maxPids) },
    hierarchy,
    { log, clock, run: deps.run },
    signal,
  );
  const devices = opening.use(
    await openDevices(config, { clock, log, run: deps.run, recorder: deps.calls, events, controlPlane }, signal),
  );
  const volumes = opening.use(
    await openVolumeManager(
      { rootDir: paths.rootDir, nodeName: config.nodeName, standalone: config.cluster === undefined },
      {
        run: deps.run,
        recorder: deps.calls,
        log,
        clock,
        events,
        objects: controlPlane,
        nodeFields: () => ({ ...node, podIps: [] }),
        allocatable: () => allocatable,
        supportsRecursiveReadOnly: () => true,
        csi: devices.csi,
        flexVolumes: devices.flexVolumes,
      },
      signal,
    ),
  );
  const files = new PodFiles(paths.rootDir);
  const logs = new PodLogFolders({ podLogsDir: paths.podLogsDir, containerLogsDir: paths.containerLogsDir });
  const resolver = new CachedFile(config.dns.resolvConf, parseResolvConf);
  const configs = new CriConfigBuilder(
    {
      podLogsDir: paths.podLogsDir,
      clusterDns: config.dns,
      security: { seccompDefault: config.security.seccompDefault, seccompRoot: join(paths.rootDir, 'seccomp') },
      node: {
        memoryBytes: host.memoryBytes,
        cpuCfsQuota: config.cgroups.cpuCfsQuota,
        cpuPeriodUs: config.cgroups.cpuPeriodUs,
        hugepageSizes: host.hugepageSizes,
        cgroupV2: hierarchy.version === 2,
        singleProcessOomKill: hierarchy.version === 1,
      },
    },
    {
      cgroups,
      volumes,
      files,
      environment: (podIps) => environmentSources(controlPlane, volumes, { ...node, podIps }, allocatable),
      imageUser: (imageId, asked) => imageUser(images, imageId, asked),
      runtimeClass: (name, asked) => controlPlane.get('RuntimeClass', '', name, asked),
      hostResolver: () => resolver.read(),
      nodeHosts: () => readFile('/etc/hosts', 'utf8'),
      grants: (pod, container) => devices.pods.grantsOf(pod, container),
      runningId: (pod, container) =>
        loops
          .live(podUidOf(pod))
          ?.seen()
          .containers.find((seen) => seen.name === container && seen.state === 'running')?.id,
    },
  );
  const hooks = new LifecycleHooks({ clock, runtime, events, httpGet, kubeVersion });
  const puller = new ImagePuller(
    { maxParallelPulls: config.limits.parallelPulls },
    {
      clock,
      images,
      events,
      secret: (namespace, name, asked) => controlPlane.get('Secret', namespace, name, asked),
      nodeCredentials: () => Promise.resolve([]),
      progress: (pod, container, text) => statuses.progress(podUidOf(pod), container, text),
    },
  );
  const probeRecord = opening.use(await ProbeRecord.open(join(paths.runDir, 'probes.json'), log));
  const probes = opening.use(
    new PodProbes({
      clock,
      log,
      events,
      agentStartedAt: startedAt,
      record: probeRecord,
      random: () => Math.random(),
      run: (request, asked) =>
        runProbe(
          request,
          {
            runtime,
            httpGet,
            kubeVersion,
            grpcHealth: (address, port, service, s) =>
              grpcHealth(address, port, service, `kube-probe/${kubeVersion}`, s),
          },
          asked,
        ),
      counted: (kind, outcome, pod, container, seconds) =>
        deps.metrics.probe(kind, outcome.result, pod, container, seconds),
    }),
  );
  const observer = new RuntimeObserver({
    runtime,
    runtimeName: async (asked) => (await runtime.version({}, asked)).runtimeName ?? 'unknown',
    terminationMessage,
  });
  const executors = makeExecutors({
    clock,
    log,
    runtime,
    events,
    gate: new StartGate(config.limits.starts),
    configs,
    images: puller,
    hooks,
    volumes,
    cgroups,
    folders: files,
    logs,
    grants: devices.pods,
    reject: (uid, reason, message) => desired.reject(uid, reason, message),
  });
  const publisher = opening.use(new StatusPublisher({ coalesceMs: 500 }, { clock, log, controlPlane }));
  const statuses = new PodStatuses({ publisher, controlPlane, events, log });
  const policy = {
    restartBackoff: { initialMs: 10_000, maxMs: config.limits.restartBackoffMaxMs, resetAfterMs: 600_000 },
  };

  const references = opening.use(
    new ReferenceWatch({ controlPlane, changed: (uid) => loops.retryKinds(uid, startSteps) }),
  );
  const loops: PodLoops = opening.use(
    new PodLoops({
      clock,
      log,
      desired: (uid) => desired.get(uid),
      facts: (pod, asked) =>
        gatherFacts(
          pod,
          {
            volumes,
            probes,
            agentStartedAt: startedAt,
            hostIps: host.addresses,
            devices: devices.pods,
            observe: (uid, s) => observer.observe(uid, s),
            network: () => watch.health.network,
            sourcesSynced: () => sources.synced,
            lastStatus: (uid) => statuses.of(uid),
            probedBefore: (containerId) => probeRecord.before(containerId),
          },
          asked,
        ),
      plan: (wanted, facts, now) => planPod(wanted, facts, policy, now),
      status: (wanted, facts, plan, now) => (wanted ? deriveStatus(wanted, facts, plan, now) : undefined),
      execute: async (step, pod, asked) => {
        await deps.at?.(`before ${step.kind}`);
        await executeStep(executors, step, pod, asked);
        await deps.at?.(`after ${step.kind}`);
      },
      describe: describeFailure,
      retryAfter: nextTryAfter,
      stepEnded: (pod, step, failure) => {
        observer.invalidate(pod.uid);
        if (!startSteps.has(step.kind)) return;
        const wanted = desired.get(pod.uid);
        if (failure && wanted) references.failed(pod.uid, wanted.pod);
        else if (step.kind === 'start-container') references.release(pod.uid);
      },
      reported: (uid, result) => statuses.report(uid, result),
      gone: async (uid) => {
        const last = desired.get(uid);
        probes.remove(uid);
        references.release(uid);
        observer.invalidate(uid);
        await logs
          .removePod(uid)
          .catch((err: unknown) => log.warn({ podUid: uid, err }, 'pod logs could not be removed'));
        desired.gone(uid);
        statuses.gone(uid, last);
      },
    }),
  );
  const amounts = new PodAmounts();
  const desired: DesiredPods = new DesiredPods({
    clock,
    admit: (pod, active) => {
      const verdict = admitPod(pod, active, {
        allocatable: { ...allocatable, ...devices.admissible() },
        amounts,
        maxPods: config.limits.maxPods,
        allowedUnsafeSysctls: config.security.allowedUnsafeSysctls,
        appArmor: false,
        pressures: housekeeping.pressures,
      });
      if (!verdict.admitted) return verdict;
      for (const victim of verdict.preempt ?? []) {
        events.record(podReference(victim), 'Warning', 'Preempting', preemptionMessage);
        desired.terminate(podUidOf(victim), preempted(clock.now()));
      }
      return { admitted: true, pod };
    },
    isStatic: isStaticPod,
    wake: (uid) => loops.wake(uid),
    rejected: (pod, reason, message) => events.record(podReference(pod), 'Warning', reason, message),
  });
  const sources = opening.use(
    new PodSources({
      log,
      controlPlane,
      manifests: manifestSources(config, { log, clock }),
      merged: (pods, synced) => watch.apply(() => desired.apply(pods, synced)),
      objects: (objects) => deps.store?.setManifestObjects(objects),
      ignored: (pod, message) => events.record(podReference(pod), 'Warning', 'FailedValidation', message),
    }),
  );
  const housekeeping: Housekeeping = opening.use(
    openHousekeeping(config, defaultHousekeeping(), {
      ...{ clock, log, events, host, hierarchy, loops, desired, volumes, cgroups, observer, logs, capacity },
      runtime: deps.runtime,
      knownImages: deps.knownImages,
      sourcesSynced: () => sources.synced,
      conditionsChanged: () => {},
      evicted: () => {},
    }),
  );
  const watch: WorldWatch = opening.use(
    new WorldWatch({
      clock,
      log,
      runtime,
      observer,
      loops,
      desired,
      sources,
      volumes,
      probes,
      onNetworkChange: deps.onNetworkChange,
      traces: [cgroups, files, logs, devices.pods],
    }),
  );
  await watch.open(signal);
  const owned = opening.release();
  return {
    loops,
    desired,
    sources,
    statuses,
    get allocatable() {
      return { ...allocatable, ...devices.amounts().allocatable };
    },
    devices,
    housekeeping,
    tidy: watch.tidy,
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

export type { Pod, PodUid };
