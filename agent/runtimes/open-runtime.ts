import type { AgentConfig } from '../config/agent-config.js';
import { chooseRuntime } from './choose-runtime.js';
import type { OpenedRuntime, OpenRuntimeDeps } from './opened-runtime.js';

/** The runtime the configuration names, with all it needs. Each is loaded only when it is chosen. */
export async function openRuntime(
  config: AgentConfig,
  deps: OpenRuntimeDeps,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  const choice = chooseRuntime(config.runtime.endpoint, Object.values(config.runtime.ociRuntimes));
  deps.log.info({ runtime: choice.kind, reason: choice.reason }, 'container runtime chosen');
  switch (choice.kind) {
    case 'embedded': {
      const { openEmbedded } = await import('./open-embedded.js');
      return openEmbedded(config, deps, signal);
    }
    case 'docker': {
      const { openDocker } = await import('./open-docker.js');
      return openDocker(config, choice.socketPath, deps, signal);
    }
    case 'remote': {
      const { openRemoteRuntime } = await import('../../cri/remote/index.js');
      const { recorder, log, clock } = deps;
      const { imageEndpoint, requestTimeoutMs: requestMs } = config.runtime;
      const cri = await openRemoteRuntime(
        {
          endpoint: choice.endpoint,
          imageEndpoint,
          timeouts: requestMs === undefined ? undefined : { requestMs },
        },
        { recorder, log, clock },
        signal,
      );
      return { cri, cni: undefined, imageStore: undefined, [Symbol.asyncDispose]: () => cri[Symbol.asyncDispose]() };
    }
  }
}
