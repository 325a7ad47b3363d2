import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '../base/clock.js';
import type { Logger } from '../base/log.js';
import { runProgram, type RunProgram } from '../base/run-program.js';
import type { ApplyCdi } from '../cri/embedded/index.js';
import type { NodeCondition, PodUid, ResourceList } from './api/index.js';
import type { Agent } from './agent.js';
import { agentView } from './wiring/agent-view.js';
import { kubeVersion, type AgentConfig } from './config/agent-config.js';
import { clusterProblems, conditionEvents, openNodeAgent, type NodeAgent } from './controlplane/node-agent/index.js';
import { openControlPlane } from './controlplane/open-control-plane.js';
import { LazyCdi } from './devices/index.js';
import type { FaultPoint } from './fault-point.js';
import { EventLog } from './events/event-log.js';
import { claimFolders, claimsOf } from './node/claim-folders.js';
import { prepareRunFolder } from './node/run-folder.js';
import { readHostFacts } from './node/host-facts.js';
import { nodeCapacity } from './node/node-capacity.js';
import { openLiveConditions, openNodeStatus, type ConditionParts } from './node/open-node-status.js';
import { OwnAddresses, reachedAt, type OwnAddressesOptions } from './node/own-addresses.js';
import { openPodWorld } from './wiring/open-pod-world.js';
import { CallLog } from './recorder/call-log.js';
import { openRuntime } from './runtimes/open-runtime.js';
import { countedCalls, countedRuntime, noMetrics, timedMethods, type AgentMetrics } from './serving/metrics/index.js';
import { Lifetimes } from './lifetimes.js';

export interface AgentDeps {
  readonly log: Logger;
  readonly clock?: Clock;
  readonly metrics?: AgentMetrics | undefined;
  /** Starts programs; tests wrap it with faults. */
  readonly run?: RunProgram | undefined;
  readonly at?: FaultPoint | undefined;
}

/**
 * Builds the whole agent, in the order things depend on each other, and starts it. It has its folders for itself. Disposing ends it in
 * reverse; containers keep running.
 */
export async function openAgent(
  config: AgentConfig,
  { log, clock = systemClock, metrics = noMetrics, run = runProgram, at }: AgentDeps,
  signal: AbortSignal,
): Promise<Agent> {
  await using opening = new Lifetimes();
  const { paths } = config;
  opening.use(await claimFolders(claimsOf(config), signal));
  await prepareRunFolder(config, signal);
  const startedAt = clock.now();
  const own = opening.use(await OwnAddresses.open(knownAs(config), { clock, log }));
  const host = reachedAt(await readHostFacts(paths.rootDir), own);

  const calls = opening.use(
    new CallLog(
      { dir: join(paths.stateDir, 'calls'), maxFileBytes: 8 * 1024 * 1024, keep: 4000, flushAfterMs: 1000 },
      { clock, log },
    ),
  );
  const events = new EventLog({ nodeName: config.nodeName, keep: 2000 }, { clock });
  const opened = opening.use(await openControlPlane(config, { log, clock, run }, signal));
  const { controlPlane } = opened;
  opening.use(events.onEvent((event) => void controlPlane.writeEvent(event, signal)));

  const cdi = opening.use(new LazyCdi(config.devices.cdiDirs, log));
  const applyCdi: ApplyCdi = (names, spec) => cdi.apply(names, spec);
  const runtime = opening.use(
    await openRuntime(config, { run, recorder: calls, log, clock, bootId: host.bootId, applyCdi, at }, signal),
  );
  const { imageStore, cni, countLayers } = runtime;
  const cri = countedRuntime(runtime.cri, metrics);
  const world = opening.use(
    await openPodWorld(
      config,
      {
        log,
        clock,
        startedAt,
        host,
        calls: countedCalls(calls, metrics),
        events,
        controlPlane,
        store: opened.local?.store,
        runtime: cri,
        metrics,
        run,
        at,
        countLayers,
        knownImages: imageStore && (() => imageStore.usage().images),
        onNetworkChange: cni && ((listener) => cni.onChange(listener)),
      },
      signal,
    ),
  );
  world.start();
  const conditionParts: ConditionParts = {
    ...{ clock, housekeeping: world.housekeeping },
    health: () => world.health,
    warnings: () => opened.cluster?.problems ?? [],
    onHealthChange: (listener) => world.onHealthChange((uid) => void (uid === undefined && listener())),
  };
  const conditions = opening.use(
    openLiveConditions({
      ...conditionParts,
      // In a cluster they are told when the cluster has been told of them.
      turned: (before, now) => void (config.cluster ?? tellTurned(config.nodeName, events, before, now)),
    }),
  );
  const capacity = (): ResourceList => ({
    ...nodeCapacity(host, config.limits.maxPods),
    ...world.devices.amounts().capacity,
  });
  let nodeAgent: NodeAgent | undefined;
  if (config.cluster) {
    const { rootDir } = paths;
    const source = opening.use(
      openNodeStatus(
        {
          nodeName: config.nodeName,
          kubeletVersion: `v${kubeVersion}.0`,
          kubeletPort: config.cluster.kubeletPort,
          maxImages: config.kubelet?.nodeStatusMaxImages ?? 50,
        },
        {
          ...{ ...conditionParts, host, runtime: cri, capacity },
          allocatable: () => world.allocatable,
          onDevicesChange: (listener) => world.devices.onChange(listener),
          onAddressesChange: (listener) => own.onChange(listener),
        },
      ),
    );
    const deps = {
      ...{ source, host, events, clock, log, runtime: cri, world, rootDir },
      controlPlane: timedMethods(controlPlane, { registerNode: 'register' }, (_, seconds, failed) => {
        if (!failed) metrics.work.nodeRegistered(seconds);
      }),
      registered: (asked: AbortSignal) => world.devices.announceAgain(asked),
    };
    nodeAgent = opening.use(openNodeAgent(config.nodeName, config.cluster, deps));
  }
  const owned = opening.release();
  const local = opened.local?.controlPlane;
  return agentView({
    config,
    startedAt,
    runtime: cri,
    controlPlane,
    local,
    calls,
    host,
    imageStore,
    cni,
    events,
    world,
    owned,
    capacity,
    conditions: () => conditions.current,
    clusterProblems: () => clusterProblems(opened.cluster, nodeAgent?.problem ?? ''),
  });
}

/** The name that a machine has in its cluster may stand for an address; without one nobody knows it by any other than its own. */
function knownAs({ cluster, nodeName }: AgentConfig): OwnAddressesOptions {
  if (!cluster) return { name: hostname(), given: [], everyMs: 10_000 };
  return { name: nodeName, given: cluster.nodeIps, everyMs: cluster.statusEveryMs };
}

function tellTurned(
  name: string,
  events: EventLog,
  before: readonly NodeCondition[],
  now: readonly NodeCondition[],
): void {
  for (const { type, reason, message } of conditionEvents(name, { conditions: [...before] }, { conditions: [...now] }))
    events.record({ kind: 'Node', name, uid: name }, type, reason, message);
}

export type { Agent } from './agent.js';
export type { PodUid };
