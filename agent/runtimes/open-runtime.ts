import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { Cni } from '../../cni/index.js';
import type { ApplyCdi } from '../../cri/embedded/index.js';
import type { ImageStore } from '../../cri/embedded/images/index.js';
import type { CriRuntime } from '../../cri/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { FaultPoint } from '../fault-point.js';
import { chooseRuntime } from './choose-runtime.js';

export interface OpenRuntimeDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly clock: Clock;
  readonly bootId: string;
  /** Resolves CDI names for the embedded runtime; the others do it themselves. */
  readonly applyCdi?: ApplyCdi | undefined;
  readonly at?: FaultPoint | undefined;
}

export interface OpenedRuntime extends AsyncDisposable {
  readonly cri: CriRuntime;
  /** Absent where the runtime calls CNI itself. */
  readonly cni: Cni | undefined;
  /** Absent where the runtime keeps its images itself. */
  readonly imageStore: ImageStore | undefined;
  /** Makes the runtime's figures of writable layers those of now; absent where that cannot be asked of it. */
  readonly countLayers?: (() => Promise<void>) | undefined;
}

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
