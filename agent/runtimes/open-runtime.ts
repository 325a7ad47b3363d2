import { join } from 'node:path';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import { openCni, type Cni } from '../../cni/index.js';
import type { CriRuntime } from '../../cri/index.js';
import type { ImageStore } from '../../cri/embedded/images/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { FaultPoint } from '../fault-point.js';
import { Lifetimes } from '../lifetimes.js';
import { mountedLayers } from './mounted-layers.js';
import { cniSandboxNetwork } from '../network/cni-sandbox-network.js';

export interface OpenRuntimeDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly clock: Clock;
  readonly bootId: string;
  readonly at?: FaultPoint | undefined;
}

export interface OpenedRuntime extends AsyncDisposable {
  readonly cri: CriRuntime;
  /** Absent where the runtime calls CNI itself. */
  readonly cni: Cni | undefined;
  /** Absent where the runtime keeps its images itself. */
  readonly imageStore: ImageStore | undefined;
}

/** The runtime the configuration names, with all it needs. Each is loaded only when it is chosen. */
export async function openRuntime(
  config: AgentConfig,
  deps: OpenRuntimeDeps,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  await using opening = new Lifetimes();
  const { paths, runtime } = config;
  const { run, recorder, log, clock, bootId, at } = deps;
  const [{ openEmbeddedRuntime, embeddedRuntimeDefaults }, { openImageStore }] = await Promise.all([
    import('../../cri/embedded/index.js'),
    import('../../cri/embedded/images/index.js'),
  ]);
  const cni = opening.use(
    await openCni(
      { confDir: paths.cniConfDir, binDirs: paths.cniBinDirs, cacheDir: join(paths.stateDir, 'cni') },
      { run, recorder, log, clock },
      signal,
    ),
  );
  const images = opening.use(
    await openImageStore(
      {
        dir: join(paths.stateDir, 'images'),
        secretsDir: paths.runDir,
        registries: Object.fromEntries(runtime.insecureRegistries.map((registry) => [registry, { insecure: true }])),
      },
      { run, recorder, log, clock, layersInUse: mountedLayers },
      signal,
    ),
  );
  const embedded = opening.use(
    await openEmbeddedRuntime(
      {
        ...embeddedRuntimeDefaults(),
        stateDir: join(paths.stateDir, 'runtime'),
        runDir: paths.runDir,
        ociRuntimes: runtime.ociRuntimes,
        cgroupDriver: config.cgroups.driver,
      },
      { run, recorder, log, clock, images, network: cniSandboxNetwork(cni), bootId, at: at && ((step) => at(step)) },
      signal,
    ),
  );
  const owned = opening.release();
  const dispose = (): Promise<void> => owned[Symbol.asyncDispose]();
  const cri: CriRuntime = {
    runtime: embedded.runtime,
    streaming: embedded.streaming,
    images,
    [Symbol.asyncDispose]: dispose,
  };
  return { cri, cni, imageStore: images, [Symbol.asyncDispose]: dispose };
}
