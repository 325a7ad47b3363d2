import { isCriCode } from '../contract/cri-error.js';
import type { RuntimeService } from '../contract/runtime-service.js';

/** Runtimes that give containers the whole deadline of the call to end by themselves where CRI asks for no grace at all. */
const gentle: ReadonlySet<string> = new Set(['cri-o']);

/**
 * StopPodSandbox, RemovePodSandbox and RemoveContainer end what runs by force, as the contract says; with a runtime that is gentle
 * about it the containers are ended first. A runtime whose name is not known is asked for it when that matters for the first time.
 */
export function endingAtOnce(service: RuntimeService, runtimeName: string | undefined): RuntimeService {
  let isGentle = runtimeName === undefined ? undefined : gentle.has(runtimeName);
  const needsHelp = async (signal: AbortSignal): Promise<boolean> => {
    isGentle ??= gentle.has((await service.version({}, signal)).runtimeName ?? '');
    return isGentle;
  };
  const endContainers = async (podSandboxId: string | undefined, signal: AbortSignal): Promise<void> => {
    if (!podSandboxId || !(await needsHelp(signal))) return;
    const filter = { podSandboxId, state: { state: 'CONTAINER_RUNNING' } } as const;
    const { containers = [] } = await service.listContainers({ filter }, signal);
    await Promise.all(containers.map(({ id }) => service.stopContainer({ containerId: id, timeout: 0 }, signal)));
  };
  return {
    ...service,
    async stopPodSandbox(request, signal) {
      await endContainers(request.podSandboxId, signal);
      return await service.stopPodSandbox(request, signal);
    },
    async removePodSandbox(request, signal) {
      await endContainers(request.podSandboxId, signal);
      return await service.removePodSandbox(request, signal);
    },
    async removeContainer(request, signal) {
      const { containerId } = request;
      if (containerId && (await needsHelp(signal)) && (await runs(containerId, signal))) {
        await service.stopContainer({ containerId, timeout: 0 }, signal);
      }
      return await service.removeContainer(request, signal);
    },
  };

  async function runs(containerId: string, signal: AbortSignal): Promise<boolean> {
    try {
      return (await service.containerStatus({ containerId }, signal)).status?.state === 'CONTAINER_RUNNING';
    } catch (err) {
      if (isCriCode(err, 'not-found')) return false;
      throw err;
    }
  }
}
