import type {
  ControllerMethods,
  ControllerServiceCapability_RPC_Type as Capability,
  CreateVolumeRequest,
  Volume,
  VolumeCapability,
} from '../../../proto/generated/csi-v1.js';
import { DriverError, required } from './driver-error.js';
import type { DriverOptions } from './driver-options.js';
import type { Service } from './grpc-service.js';
import { mountedTargets } from './host.js';
import type { VolumeLocks } from './volume-locks.js';
import type { StoredVolume, VolumeStore } from './volume-store.js';

const defaultBytes = 16 * 1024 * 1024;
const largestBytes = 1024 * 1024 * 1024;

export function controllerService(
  options: DriverOptions,
  store: VolumeStore,
  locks: VolumeLocks,
): Service<ControllerMethods> {
  const capabilities: Capability[] = [
    'CREATE_DELETE_VOLUME',
    'EXPAND_VOLUME',
    'LIST_VOLUMES',
    'SINGLE_NODE_MULTI_WRITER',
  ];
  if (options.attach) capabilities.push('PUBLISH_UNPUBLISH_VOLUME');
  return {
    controllerGetCapabilities: async () => ({ capabilities: capabilities.map((type) => ({ rpc: { type } })) }),
    createVolume: async (request) => ({ volume: await create(request, store, locks) }),
    deleteVolume: async ({ volumeId }) => {
      const id = required(volumeId, 'volume_id');
      return await locks.run(id, async () => {
        const volume = await store.find(id);
        if (volume?.attachedTo !== undefined) {
          throw new DriverError('FAILED_PRECONDITION', `volume ${id} is attached to ${volume.attachedTo}`);
        }
        // Its files would go under a pod that uses them.
        const inUse = await mountedTargets(volume);
        if (inUse.length > 0)
          throw new DriverError('FAILED_PRECONDITION', `volume ${id} is published at ${inUse.join(', ')}`);
        if (volume !== undefined) await store.remove(volume);
        return {};
      });
    },
    controllerPublishVolume: async ({ volumeId, nodeId, volumeCapability }) => {
      const id = required(volumeId, 'volume_id');
      const node = required(nodeId, 'node_id');
      if (volumeCapability == null) throw new DriverError('INVALID_ARGUMENT', 'volume_capability is missing');
      return await locks.run(id, async () => {
        const volume = await store.get(id);
        if (node !== options.nodeId) throw new DriverError('NOT_FOUND', `there is no node ${node}`);
        if (volume.attachedTo !== undefined && volume.attachedTo !== node) {
          throw new DriverError('FAILED_PRECONDITION', `volume ${id} is attached to ${volume.attachedTo}`);
        }
        await store.save({ ...volume, attachedTo: node });
        return { publishContext: { attachment: `${id}@${node}` } };
      });
    },
    controllerUnpublishVolume: async ({ volumeId }) => {
      const id = required(volumeId, 'volume_id');
      return await locks.run(id, async () => {
        const volume = await store.find(id);
        if (volume !== undefined) await store.save({ ...volume, attachedTo: undefined });
        return {};
      });
    },
    validateVolumeCapabilities: async ({ volumeId, volumeCapabilities = [] }) => {
      const id = required(volumeId, 'volume_id');
      if (volumeCapabilities.length === 0) throw new DriverError('INVALID_ARGUMENT', 'volume_capabilities is missing');
      const volume = await store.get(id);
      const wrong = volumeCapabilities.find((capability) => !canBeUsedAs(volume, capability));
      if (wrong !== undefined) return { message: `volume ${volume.id} is a ${volume.kind} and no block device` };
      return { confirmed: { volumeCapabilities } };
    },
    controllerExpandVolume: async ({ volumeId, capacityRange }) => {
      const id = required(volumeId, 'volume_id');
      const bytes = capacityRange?.requiredBytes ?? 0;
      if (bytes > largestBytes) throw new DriverError('OUT_OF_RANGE', `a volume has at most ${largestBytes} bytes`);
      return await locks.run(id, async () => {
        const grown = await store.grow(await store.get(id), bytes);
        return { capacityBytes: grown.bytes, nodeExpansionRequired: grown.kind === 'image' };
      });
    },
    listVolumes: async ({ startingToken = '', maxEntries = 0 }) => {
      const all = await store.list();
      const from = startingToken === '' ? 0 : Number(startingToken);
      if (!Number.isInteger(from)) throw new DriverError('ABORTED', `${startingToken} is no token of this driver`);
      const to = maxEntries === 0 ? all.length : from + maxEntries;
      return {
        entries: all.slice(from, to).map((volume) => ({ volume: wireVolume(volume) })),
        nextToken: to < all.length ? String(to) : '',
      };
    },
  };
}

async function create(request: CreateVolumeRequest, store: VolumeStore, locks: VolumeLocks): Promise<Volume> {
  const name = required(request.name, 'name');
  const { volumeCapabilities = [], parameters = {}, capacityRange } = request;
  if (volumeCapabilities.length === 0) throw new DriverError('INVALID_ARGUMENT', 'volume_capabilities is missing');
  const bytes =
    capacityRange?.requiredBytes === undefined || capacityRange.requiredBytes === 0
      ? defaultBytes
      : capacityRange.requiredBytes;
  const limit = capacityRange?.limitBytes ?? 0;
  if (bytes > largestBytes) throw new DriverError('OUT_OF_RANGE', `a volume has at most ${largestBytes} bytes`);
  if (limit !== 0 && limit < bytes)
    throw new DriverError('OUT_OF_RANGE', `${bytes} bytes are more than the limit of ${limit}`);
  const block = volumeCapabilities.some((capability) => capability.block != null);
  const kind = block || parameters['kind'] === 'image' ? 'image' : 'directory';
  const id = store.idOf(name);
  return await locks.run(id, async () => {
    const known = await store.find(id);
    if (known !== undefined && (known.bytes < bytes || known.kind !== kind)) {
      throw new DriverError('ALREADY_EXISTS', `volume ${name} exists with ${known.bytes} bytes as a ${known.kind}`);
    }
    const volume = known ?? { id, name, kind, bytes, ephemeral: false };
    if (known === undefined) await store.create(volume);
    return wireVolume(volume);
  });
}

function wireVolume(volume: StoredVolume): Volume {
  return { volumeId: volume.id, capacityBytes: volume.bytes, volumeContext: { kind: volume.kind } };
}

function canBeUsedAs(volume: StoredVolume, capability: VolumeCapability): boolean {
  return capability.block == null || volume.kind === 'image';
}
