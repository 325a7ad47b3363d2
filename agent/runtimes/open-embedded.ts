import { join } from 'node:path';
import type { CriRuntime } from '../../cri/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import { Lifetimes } from '../lifetimes.js';
import { cniSandboxNetwork } from '../network/cni-sandbox-network.js';
import { openConfiguredCni } from './open-cni.js';
import type { OpenedRuntime, OpenRuntimeDeps } from './opened-runtime.js';

/** berth's own runtime with its image store, on the CNI network of this machine. */
export async function openEmbedded(
  config: AgentConfig,
  deps: OpenRuntimeDeps,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  await using opening = new Lifetimes();
  const { paths, runtime } = config;
  const { run, recorder, log, clock, bootId, at } = deps;
  const [{ openEmbeddedRuntime, embeddedRuntimeDefaults, mountedLayers }, { openImageStore }] = await Promise.all([
    import('../../cri/embedded/index.js'),
    import('../../cri/embedded/images/index.js'),
  ]);
  const cni = opening.use(await openConfiguredCni(config, deps, signal));
  const images = opening.use(
    await openImageStore(
      {
        dir: join(paths.stateDir, 'images'),
        secretsDir: paths.runDir,
        runtimeHandlers: Object.keys(runtime.ociRuntimes),
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
      {
        run,
        recorder,
        log,
        clock,
        images,
        network: cniSandboxNetwork(cni, log),
        bootId,
        applyCdi: deps.applyCdi,
        at: at && ((step) => at(step)),
      },
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
  return {
    ...{ cri, cni, imageStore: images },
    countLayers: () => embedded.countLayers(),
    [Symbol.asyncDispose]: dispose,
  };
}
