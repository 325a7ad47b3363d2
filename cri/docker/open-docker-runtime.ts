import { readFile } from 'node:fs/promises';
import { KeyedLock } from '../../base/fifo-limit.js';
import { criError } from '../contract/cri-error.js';
import type { RuntimeService } from '../contract/runtime-service.js';
import type { CriRuntime } from '../contract/runtime.js';
import { containerStatus, listContainers } from './container-status.js';
import { createContainer, removeContainer, startContainer, stopContainer, updateResources } from './containers.js';
import { DockerApi } from './docker-api.js';
import { containerEvents } from './events.js';
import { execSync } from './exec.js';
import { findContainer } from './find-container.js';
import { dockerImageService } from './images.js';
import { readCgroupHost } from '../stats/cgroup-host.js';
import { CriUsage } from '../stats/cri-usage.js';
import { metricDescriptors } from '../stats/metrics.js';
import { ContainerLogs } from './logs/container-logs.js';
import { LayerSizes } from './layer-sizes.js';
import { sandboxMetrics } from './metrics.js';
import { dockerLabels } from './names-and-labels.js';
import type { DockerContext, DockerRuntimeDeps, DockerRuntimeOptions } from './options.js';
import { podStatus } from './pod-status.js';
import { defaultSandboxProgram, ensureSandboxImage } from './sandbox-image.js';
import { SandboxFiles } from './sandbox-files.js';
import { findSandbox, listSandboxes, removeSandbox, runSandbox, stopSandbox } from './sandboxes.js';
import { containerStats, listContainerStats, listSandboxStats, sandboxStats } from './stats.js';
import { dockerRuntimeConfig, dockerStatus, dockerVersion } from './status.js';
import { dockerStreamingService } from './streaming.js';

const defaultRequestTimeoutMs = 120_000;

/**
 * Pods in Docker Engine 20.10 or later: a sandbox is a container without a network of Docker's, to whose namespace the given
 * network is attached; the pod's containers join it. Disposing it stops nothing.
 */
export async function openDockerRuntime(
  options: DockerRuntimeOptions,
  deps: DockerRuntimeDeps,
  signal: AbortSignal,
): Promise<CriRuntime> {
  const { socketPath, requestTimeoutMs: deadlineMs = defaultRequestTimeoutMs } = options;
  const api = await DockerApi.open({ socketPath, deadlineMs }, deps.recorder, signal);
  const program = options.sandboxProgram ?? defaultSandboxProgram;
  const sandboxImage = await ensureSandboxImage(api, program, deps.run, signal);
  const logs = new ContainerLogs(api, deps.log, options.stateDir);
  const files = new SandboxFiles(options.stateDir);
  const layers = new LayerSizes({ api, clock: deps.clock, log: deps.log });
  const context: DockerContext = {
    ...{ api, deps, files, logs, layers, sandboxImage },
    starts: new KeyedLock(),
    usage: new CriUsage(),
    cgroups: readCgroupHost(),
    lowestOomScore: await lowestOomScore(),
  };
  await logs.open(signal);
  return {
    runtime: runtimeService(context),
    images: dockerImageService(api, deps.clock, sandboxImage),
    streaming: dockerStreamingService(context),
    [Symbol.asyncDispose]: async () => {
      layers[Symbol.dispose]();
      logs[Symbol.dispose]();
    },
  };
}

function runtimeService(context: DockerContext): RuntimeService {
  return {
    version: (_r, s) => dockerVersion(context, s),
    status: (r, s) => dockerStatus(context, r, s),
    runtimeConfig: (_r, s) => dockerRuntimeConfig(context, s),
    updateRuntimeConfig: async () => ({}),
    runPodSandbox: async (r, s) => ({ podSandboxId: await runSandbox(context, r, s) }),
    stopPodSandbox: async (r, s) => nothing(stopSandbox(context, r.podSandboxId, s)),
    removePodSandbox: async (r, s) => nothing(removeSandbox(context, r.podSandboxId, s)),
    podSandboxStatus: (r, s) => podStatus(context, r, s),
    listPodSandbox: async (r, s) => ({ items: await listSandboxes(context, r.filter, s) }),
    // The pod's cgroup is its parent's business; the sandbox itself uses nothing.
    async updatePodSandboxResources({ podSandboxId }, signal) {
      await findSandbox(context, podSandboxId, signal);
      return {};
    },
    createContainer: async (r, s) => ({ containerId: await createContainer(context, r, s) }),
    startContainer: async (r, s) => nothing(startContainer(context, r.containerId, s)),
    stopContainer: async (r, s) => nothing(stopContainer(context, r, s)),
    removeContainer: async (r, s) => nothing(removeContainer(context, r.containerId, s)),
    listContainers: async (r, s) => ({ containers: await listContainers(context, r.filter, s) }),
    containerStatus: (r, s) => containerStatus(context, r, s),
    updateContainerResources: async (r, s) => nothing(updateResources(context, r, s)),
    async reopenContainerLog({ containerId }, signal) {
      const { Id, State, Config } = await findContainer(context, containerId, signal);
      if (!State.Running) throw criError('failed-precondition', `reopen the log of ${Id}: the container does not run`);
      // Files are opened by name for each piece: what comes from now on goes into a new one, which is there at once.
      await context.logs.catchUp(Id, signal);
      await context.logs.prepare(Config.Labels[dockerLabels.logPath] ?? '');
      return {};
    },
    execSync: (r, s) => execSync(context, r, s),
    async checkpointContainer({ containerId }, signal) {
      await findContainer(context, containerId, signal);
      throw criError('unimplemented', 'checkpoint container: not supported on Docker');
    },
    containerStats: async (r, s) => ({ stats: await containerStats(context, r.containerId, s) }),
    listContainerStats: async (r, s) => ({ stats: await listContainerStats(context, r.filter, s) }),
    podSandboxStats: async (r, s) => ({ stats: await sandboxStats(context, r.podSandboxId, s) }),
    listPodSandboxStats: async (r, s) => ({ stats: await listSandboxStats(context, r.filter, s) }),
    listMetricDescriptors: async () => ({ descriptors: metricDescriptors() }),
    listPodSandboxMetrics: async (_r, s) => ({ podMetrics: await sandboxMetrics(context, s) }),
    containerEvents: (signal) => containerEvents(context, signal),
  };
}

async function nothing(work: Promise<void>): Promise<Record<string, never>> {
  await work;
  return {};
}

const capSysResource = 24n;

/** Without CAP_SYS_RESOURCE nobody below us can be given a lower score than ours, and Docker would fail to start it. */
async function lowestOomScore(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  if ((effective >> capSysResource) & 1n) return -1000;
  return Number(await readFile('/proc/self/oom_score_adj', 'utf8'));
}
