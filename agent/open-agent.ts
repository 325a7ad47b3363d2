import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { systemClock, type Clock } from '../base/clock.js';
import type { Logger } from '../base/log.js';
import { runProgram, type RunProgram } from '../base/run-program.js';
import type { ApplyCdi } from '../cri/embedded/index.js';
import type { PodUid } from './api/index.js';
import type { Agent } from './agent.js';
import { agentView } from './agent-view.js';
import { kubeVersion, type AgentConfig } from './config/agent-config.js';
import { clusterProblems, openNodeAgent, type NodeAgent } from './controlplane/node-agent/index.js';
import { openControlPlane } from './controlplane/open-control-plane.js';
import { LazyCdi } from './devices/index.js';
import type { FaultPoint } from './fault-point.js';
import { EventLog } from './events/event-log.js';
import { prepareRunFolder } from './node/run-folder.js';
import { readHostFacts } from './node/host-facts.js';
import { nodeCapacity } from './node/node-capacity.js';
import { openNodeStatus } from './node/open-node-status.js';
import { openPodWorld } from './open-pod-world.js';
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
 * Builds the whole agent, in the order things depend on each other, and starts it. Disposing ends it in reverse; containers keep
 * running.
 */
export async function openAgent(
  config: AgentConfig,
  { log, clock = systemClock, metrics = noMetrics, run = runProgram, at }: AgentDeps,
  signal: AbortSignal,
): Promise<Agent> {
  await using opening = new Lifetimes();
  const { paths } = config;
  for (const folder of [paths.rootDir, paths.stateDir]) await mkdir(folder, { recursive: true, mode: 0o750 });
  await prepareRunFolder(config, signal);
  const startedAt = clock.now();
  const found = await readHostFacts(paths.rootDir);
  const nodeIps = config.cluster?.nodeIps ?? [];
  const host = nodeIps.length > 0 ? { ...found, addresses: nodeIps } : found;

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
  const { imageStore, cni } = runtime;
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
        knownImages: imageStore && (() => imageStore.usage().images),
        onNetworkChange: cni && ((listener) => cni.onChange(listener)),
      },
      signal,
    ),
  );
  world.start();
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
          ...{ clock, host, runtime: cri, housekeeping: world.housekeeping },
          capacity: () => ({ ...nodeCapacity(host, config.limits.maxPods), ...world.devices.amounts().capacity }),
          allocatable: () => world.allocatable,
          health: () => world.health,
          warnings: () => opened.cluster?.problems ?? [],
          onHealthChange: (listener) => world.onHealthChange((uid) => void (uid === undefined && listener())),
          onDevicesChange: (listener) => world.devices.onChange(listener),
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
    clusterProblems: () => clusterProblems(opened.cluster, nodeAgent?.problem ?? ''),
  });
}

export type { Agent } from './agent.js';
export type { PodUid };
