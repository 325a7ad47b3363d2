import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { CriRuntime } from '../../cri/index.js';
import type { Pod } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import { PodFiles } from '../containers/pod-files.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import { openDevices, type Devices } from '../devices/index.js';
import type { EventLog } from '../events/event-log.js';
import type { ImageEnsurer } from '../executors/executor-deps.js';
import type { FaultPoint } from '../fault-point.js';
import { Lifetimes } from '../lifetimes.js';
import { PodLogFolders } from '../logs/pod-log-folders.js';
import type { HostFacts } from '../node/host-facts.js';
import { detectHierarchy, type CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import { openKubepods } from '../resources/cgroups/open-kubepods.js';
import { timedMethods, type AgentMetrics } from '../serving/metrics/index.js';
import { callsWithPoints } from './calls-with-points.js';
import { nodeBudget, type NodeBudget } from './node-budget.js';
import { wireExclusive, type Exclusive } from './wire-exclusive.js';
import { wireVolumes } from './wire-volumes.js';

export interface GroundsDeps {
  readonly log: Logger;
  readonly clock: Clock;
  readonly host: HostFacts;
  readonly calls: CallRecorder;
  readonly events: EventLog;
  readonly controlPlane: ControlPlane;
  readonly run: RunProgram;
  readonly runtime: CriRuntime;
  /** Gets images, for volumes of images too. */
  readonly puller: ImageEnsurer;
  readonly at?: FaultPoint | undefined;
  readonly metrics: AgentMetrics;
}

/** What pods stand on, and what needs no pod to be there: cgroups, devices, volumes, folders, and how much of each there is. */
export interface Grounds extends NodeBudget, AsyncDisposable {
  readonly hierarchy: CgroupHierarchy;
  readonly exclusive: Exclusive;
  readonly cgroups: Awaited<ReturnType<typeof openKubepods>>;
  readonly devices: Devices;
  readonly volumes: Awaited<ReturnType<typeof wireVolumes>>;
  readonly files: PodFiles;
  readonly logs: PodLogFolders;
}

export async function openGrounds(config: AgentConfig, deps: GroundsDeps, signal: AbortSignal): Promise<Grounds> {
  await using opening = new Lifetimes();
  const { log, clock, events, host, controlPlane, run, metrics, at, calls } = deps;
  const { rootDir, podLogsDir, containerLogsDir } = config.paths;
  const hierarchy = await detectHierarchy();
  const budget = nodeBudget(config, host);
  const { capacity, allocatable, podsLimits } = budget;
  const exclusive = await wireExclusive(config, { clock, log, capacity, allocatable });
  const kubepods = {
    ...config.cgroups,
    hugepageSizes: host.hugepageSizes,
    hasOwnCpus: (pod: Pod) => exclusive.hasCpus(pod),
    limits: { cpuShares: podsLimits.cpuShares },
  };
  const cgroups = timedMethods(
    await openKubepods(kubepods, hierarchy, { log, clock, run }, signal),
    { ensure: 'create', setLimits: 'update', limitAll: 'update', remove: 'destroy' },
    (operation, seconds) => metrics.work.cgroup(operation, seconds),
  );
  const plugins = { clock, log, run, events, controlPlane };
  const devices = opening.use(
    await openDevices(config, { ...plugins, metrics, recorder: callsWithPoints(calls, at) }, signal),
  );
  const volumes = opening.use(
    await wireVolumes(
      config,
      {
        ...{ ...plugins, recorder: calls, host, devices, allocatable, at },
        ...{ runtime: deps.runtime.runtime, images: deps.puller, metrics },
      },
      signal,
    ),
  );
  const owned = opening.release();
  return {
    ...budget,
    ...{ hierarchy, exclusive, cgroups, devices, volumes },
    files: new PodFiles(rootDir),
    logs: new PodLogFolders({ podLogsDir, containerLogsDir }),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}
