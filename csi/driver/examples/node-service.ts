import { chmod, chown, mkdir, rm, rmdir, stat, statfs, writeFile } from 'node:fs/promises';
import type {
  NodeMethods,
  NodePublishVolumeRequest,
  NodeServiceCapability_RPC_Type as Capability,
  NodeStageVolumeRequest,
  VolumeCapability,
  VolumeUsage,
} from '../../../proto/generated/csi-v1.js';
import { errnoOf } from '../../../base/errors.js';
import { DriverError, required } from './driver-error.js';
import type { DriverOptions } from './driver-options.js';
import type { Service } from './grpc-service.js';
import {
  attachLoop,
  bind,
  detachLoop,
  host,
  isBlank,
  isMounted,
  isMountedFrom,
  loopOf,
  mountedTargets,
  unmount,
} from './host.js';
import type { VolumeLocks } from './volume-locks.js';
import type { StoredVolume, VolumeStore } from './volume-store.js';

/** Everything that happens on the machine where the pod runs. Each method may be called again after a crash at any line. */
export function nodeService(options: DriverOptions, store: VolumeStore, locks: VolumeLocks): Service<NodeMethods> {
  const capabilities: Capability[] = [
    'GET_VOLUME_STATS',
    'EXPAND_VOLUME',
    'VOLUME_CONDITION',
    'SINGLE_NODE_MULTI_WRITER',
  ];
  if (options.stage) capabilities.push('STAGE_UNSTAGE_VOLUME');
  if (options.mountGroup) capabilities.push('VOLUME_MOUNT_GROUP');
  return {
    nodeGetInfo: async () => ({
      nodeId: options.nodeId,
      maxVolumesPerNode: options.maxVolumes,
      accessibleTopology: { segments: { [`topology.${options.name}/node`]: options.nodeId } },
    }),
    nodeGetCapabilities: async () => ({ capabilities: capabilities.map((type) => ({ rpc: { type } })) }),
    nodeStageVolume: async (request) => {
      const id = required(request.volumeId, 'volume_id');
      required(request.stagingTargetPath, 'staging_target_path');
      checkGiven(request.volumeCapability);
      return await locks.run(id, async () => {
        await stage(request, await store.get(id), store, options);
        return {};
      });
    },
    nodeUnstageVolume: async ({ volumeId, stagingTargetPath }) => {
      const id = required(volumeId, 'volume_id');
      const path = required(stagingTargetPath, 'staging_target_path');
      return await locks.run(id, async () => {
        await unmount(path);
        const volume = await store.find(id);
        if (volume?.kind === 'image') await detachLoop(store.dataPath(volume));
        return {};
      });
    },
    nodePublishVolume: async (request) => {
      const id = required(request.volumeId, 'volume_id');
      required(request.targetPath, 'target_path');
      checkGiven(request.volumeCapability);
      return await locks.run(id, async () => {
        await publish(request, await inlineOrStored(request, id, store), store, options);
        return {};
      });
    },
    nodeUnpublishVolume: async ({ volumeId, targetPath }) => {
      const id = required(volumeId, 'volume_id');
      const path = required(targetPath, 'target_path');
      return await locks.run(id, async () => {
        await unpublish(path, await store.find(id), store, options);
        return {};
      });
    },
    nodeGetVolumeStats: async ({ volumeId, volumePath }) => {
      const id = required(volumeId, 'volume_id');
      const path = required(volumePath, 'volume_path');
      const volume = await store.get(id);
      return {
        usage: await usageOf(volume, path),
        volumeCondition: { abnormal: false, message: 'the volume is there' },
      };
    },
    nodeExpandVolume: async ({ volumeId, volumePath, capacityRange }) => {
      const id = required(volumeId, 'volume_id');
      const path = required(volumePath, 'volume_path');
      return await locks.run(id, async () => {
        const volume = await store.grow(await store.get(id), capacityRange?.requiredBytes ?? 0);
        await growOnNode(volume, store, path);
        return { capacityBytes: volume.bytes };
      });
    },
  };
}

async function stage(
  request: NodeStageVolumeRequest,
  volume: StoredVolume,
  store: VolumeStore,
  options: DriverOptions,
): Promise<void> {
  const path = required(request.stagingTargetPath, 'staging_target_path');
  const capability = checked(request.volumeCapability, volume);
  checkAttached(request.publishContext, volume, options);
  if (capability.block != null) {
    await attachLoop(store.dataPath(volume));
    return;
  }
  await mountAt(path, volume, capability, store);
  await applyGroup(path, capability);
}

async function publish(
  request: NodePublishVolumeRequest,
  volume: StoredVolume,
  store: VolumeStore,
  options: DriverOptions,
): Promise<void> {
  const target = required(request.targetPath, 'target_path');
  const capability = checked(request.volumeCapability, volume);
  const readOnly = request.readonly ?? false;
  const others = (await mountedTargets(volume)).filter((path) => path !== target);
  if (capability.accessMode?.mode === 'SINGLE_NODE_SINGLE_WRITER' && others.length > 0) {
    throw new DriverError('FAILED_PRECONDITION', `volume ${volume.id} is published at ${others.join(', ')} already`);
  }
  await store.save({ ...volume, targets: [...others, target] });
  if (capability.block != null) {
    // A device is bound over a file, for a folder cannot become one.
    await writeFile(target, '', { flag: 'a' });
    await bind(await attachLoop(store.dataPath(volume)), target, readOnly);
    return;
  }
  await mkdir(target, { recursive: true, mode: 0o750 });
  if (options.stage && !volume.ephemeral) {
    const staged = required(request.stagingTargetPath, 'staging_target_path');
    if (!(await isMounted(staged)))
      throw new DriverError('FAILED_PRECONDITION', `volume ${volume.id} is not staged at ${staged}`);
    await bind(staged, target, readOnly);
  } else {
    await mountAt(target, volume, capability, store);
    if (readOnly) await host('mount', '-o', 'remount,bind,ro', target);
    else await applyGroup(target, capability);
  }
}

async function unpublish(
  target: string,
  volume: StoredVolume | undefined,
  store: VolumeStore,
  options: DriverOptions,
): Promise<void> {
  await unmount(target);
  await removeTarget(target);
  if (volume === undefined) return;
  if (!options.stage && volume.kind === 'image') await detachLoop(store.dataPath(volume));
  if (volume.ephemeral) await store.remove(volume);
  else await store.save({ ...volume, targets: volume.targets?.filter((path) => path !== target) });
}

/** The path is removed only when nothing is in it: a file of the user is never deleted here. */
async function removeTarget(target: string): Promise<void> {
  try {
    const found = await stat(target);
    if (found.isDirectory()) await rmdir(target);
    else if (found.size === 0) await rm(target, { force: true });
  } catch (err) {
    if (errnoOf(err) !== 'ENOENT') throw err;
  }
}

/** An inline volume is made by its first publish: nobody else calls for it. */
async function inlineOrStored(
  request: NodePublishVolumeRequest,
  id: string,
  store: VolumeStore,
): Promise<StoredVolume> {
  if (request.volumeContext?.['csi.storage.k8s.io/ephemeral'] !== 'true') return await store.get(id);
  const known = await store.find(id);
  const volume: StoredVolume = known ?? { id, name: id, kind: 'directory', bytes: 0, ephemeral: true };
  if (known === undefined) await store.create(volume);
  return volume;
}

/** What is missing in a request is said before anything is looked up. */
function checkGiven(capability: VolumeCapability | null | undefined): VolumeCapability {
  if (capability == null || (capability.block == null && capability.mount == null)) {
    throw new DriverError('INVALID_ARGUMENT', 'volume_capability is missing');
  }
  return capability;
}

function checked(asked: VolumeCapability | null | undefined, volume: StoredVolume): VolumeCapability {
  const capability = checkGiven(asked);
  if (capability.block != null && volume.kind !== 'image') {
    throw new DriverError('INVALID_ARGUMENT', `volume ${volume.id} is a directory and no block device`);
  }
  return capability;
}

function checkAttached(
  publishContext: Readonly<Record<string, string>> | undefined,
  volume: StoredVolume,
  options: DriverOptions,
): void {
  if (options.attach && publishContext?.['attachment'] !== `${volume.id}@${options.nodeId}`) {
    throw new DriverError('FAILED_PRECONDITION', `volume ${volume.id} is not attached to ${options.nodeId}`);
  }
}

async function mountAt(
  path: string,
  volume: StoredVolume,
  capability: VolumeCapability,
  store: VolumeStore,
): Promise<void> {
  if (await isMounted(path)) return;
  const data = store.dataPath(volume);
  if (volume.kind === 'directory') return await bind(data, path, false);
  const asked = capability.mount?.fsType ?? '';
  const fsType = asked === '' ? 'ext4' : asked;
  const device = await attachLoop(data);
  try {
    if (await isBlank(device)) await host(`mkfs.${fsType}`, '-q', device);
    // A volume that was made larger while nobody used it: without a mount this needs no special right.
    else if (fsType.startsWith('ext')) await growUnmounted(device);
    const flags = (capability.mount?.mountFlags ?? []).join(',');
    await host('mount', '-t', fsType, ...(flags === '' ? [] : ['-o', flags]), device, path);
  } catch (err) {
    // Who is told for good that a volume is not staged does not ask to unstage it.
    if (!(await isMountedFrom(device))) await detachLoop(data);
    throw err;
  }
}

async function growUnmounted(device: string): Promise<void> {
  await host('losetup', '--set-capacity', device);
  await host('e2fsck', '-f', '-p', device);
  await host('resize2fs', device);
}

/** The device grows, and the file system on it unless it is used as a device; the path tells, the capability is optional. */
async function growOnNode(volume: StoredVolume, store: VolumeStore, path: string): Promise<void> {
  const device = volume.kind === 'image' ? await loopOf(store.dataPath(volume)) : undefined;
  if (device === undefined) return;
  await host('losetup', '--set-capacity', device);
  if (!(await stat(path)).isDirectory()) return;
  const fsType = await host('findmnt', '--noheadings', '--output', 'FSTYPE', '--mountpoint', path);
  if (fsType.trim() === 'xfs') await host('xfs_growfs', '-d', path);
  else await host('resize2fs', device);
}

/** The files belong to the group the pod wants, and new ones will too. */
async function applyGroup(path: string, capability: VolumeCapability): Promise<void> {
  const group = capability.mount?.volumeMountGroup ?? '';
  if (group === '') return;
  await chown(path, 0, Number(group));
  await chmod(path, 0o2775);
}

async function usageOf(volume: StoredVolume, path: string): Promise<VolumeUsage[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [{ unit: 'BYTES', total: volume.bytes }];
    const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(path);
    return [
      { unit: 'BYTES', total: blocks * bsize, used: (blocks - bfree) * bsize, available: bavail * bsize },
      { unit: 'INODES', total: files, used: files - ffree, available: ffree },
    ];
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') throw new DriverError('NOT_FOUND', `${path} does not exist`);
    throw err;
  }
}
