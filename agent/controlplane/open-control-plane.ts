import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import { kubeVersion, type AgentConfig } from '../config/agent-config.js';
import type { ControlPlane } from './control-plane.js';
import { LocalControlPlane } from './local/local-control-plane.js';
import { ObjectStore } from './local/object-store.js';
import { Sealer } from './local/sealed-file.js';

export interface OpenControlPlaneDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly run: RunProgram;
}

export interface OpenedControlPlane extends AsyncDisposable {
  readonly controlPlane: ControlPlane;
  /** Present in a cluster: what is wrong between the node and it, a sentence each. */
  readonly cluster: { readonly reachable: boolean; readonly problems: readonly string[] } | undefined;
  /** Present on a machine without a cluster. */
  readonly local: { readonly controlPlane: LocalControlPlane; readonly store: ObjectStore } | undefined;
}

/** The control plane the configuration names: a cluster's, loaded only then, or the store of this machine. */
export async function openControlPlane(
  config: AgentConfig,
  deps: OpenControlPlaneDeps,
  signal: AbortSignal,
): Promise<OpenedControlPlane> {
  const { stateDir } = config.paths;
  const sealer = await Sealer.open(join(stateDir, 'seal.key'));
  if (config.cluster === undefined) {
    const store = await ObjectStore.open(join(stateDir, 'objects'), sealer, deps);
    const local = new LocalControlPlane(store, deps.clock);
    const dispose = (): Promise<void> => local[Symbol.asyncDispose]();
    return {
      controlPlane: local,
      cluster: undefined,
      local: { controlPlane: local, store },
      [Symbol.asyncDispose]: dispose,
    };
  }
  const { openCluster } = await import('./kubernetes/index.js');
  const cluster = await openCluster(
    {
      nodeName: config.nodeName,
      settings: config.cluster,
      lastKnownDir: join(stateDir, 'cluster'),
      userAgent: `kubelet/v${kubeVersion}.0 (linux) berth`,
    },
    { ...deps, sealer },
    signal,
  );
  return {
    controlPlane: cluster,
    cluster,
    local: undefined,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}
