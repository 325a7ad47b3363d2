import type {
  ControllerServiceCapability_RPC_Type as ControllerCapability,
  NodeServiceCapability_RPC_Type as NodeCapability,
  PluginCapability_Service_Type as PluginService,
  PluginCapability_VolumeExpansion_Type as VolumeExpansion,
} from '../../proto/generated/csi-v1.js';
import type { CsiConnection } from './csi-connection.js';
import { CsiError } from './csi-error.js';

export interface CsiCapabilities {
  readonly node: ReadonlySet<NodeCapability>;
  /** Empty when the driver has no controller service here. */
  readonly controller: ReadonlySet<ControllerCapability>;
  readonly services: ReadonlySet<PluginService>;
  readonly volumeExpansion: VolumeExpansion | undefined;
}

/** Asked once per registration; a driver that restarts is asked again. */
export async function queryCapabilities(connection: CsiConnection, signal: AbortSignal): Promise<CsiCapabilities> {
  const node = await connection.node('nodeGetCapabilities', {}, {}, signal);
  // The specification demands the identity service; node-only drivers that leave it out still work with a kubelet.
  const plugin = await unlessUnimplemented(connection.identity('getPluginCapabilities', {}, signal));
  const services = new Set((plugin?.capabilities ?? []).flatMap(({ service }) => service?.type ?? []));
  const controller = services.has('CONTROLLER_SERVICE')
    ? await unlessUnimplemented(connection.controller('controllerGetCapabilities', {}, {}, signal))
    : undefined;
  return {
    node: new Set((node.capabilities ?? []).flatMap(({ rpc }) => rpc?.type ?? [])),
    controller: new Set((controller?.capabilities ?? []).flatMap(({ rpc }) => rpc?.type ?? [])),
    services,
    volumeExpansion: plugin?.capabilities?.find(({ volumeExpansion }) => volumeExpansion != null)?.volumeExpansion
      ?.type,
  };
}

async function unlessUnimplemented<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (err) {
    if (err instanceof CsiError && err.failure.code === 'unimplemented') return undefined;
    throw err;
  }
}
