import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  attachmentId,
  csiBlockPaths,
  csiDataFolder,
  csiStagingPath,
  publishVolumeContext,
  readVolumeData,
  removeVolumeFolder,
  volumeDataFile,
  writeVolumeData,
  type CsiDriver,
  type CsiTokens,
} from '../../../../csi/index.js';
import type { CSIDriver as CsiDriverObject, Secret } from '../../../api/index.js';
import { isMountPoint } from '../../fs/is-mount-point.js';
import { giveToGroup } from '../../ownership.js';
import { readSecret, secretContent, type PluginContext } from '../../plugin-context.js';
import { contextOptions, seLinuxMountLabel, takesLabels } from '../../se-linux.js';
import { VolumeProblem } from '../../volume-error.js';
import type { VolumeUsage } from '../../volume-manager.js';
import type {
  FoundStage,
  FoundVolume,
  NodeStage,
  PodVolume,
  PublishedVolume,
  PublishRequest,
  VolumePlugin,
} from '../../volume-plugin.js';
import { subjectOf } from '../flex-volume.js';
import { linkDevice } from '../local-volume.js';
import { isUntouched } from '../staging-folders.js';
import { attachCsi, needsAttach } from './csi-attach.js';
import type { CsiDriverSource } from './csi-driver-source.js';
import { exists, rejectLeft, rmdirIfEmpty, unlinkIfThere } from './csi-folders.js';
import { attachSecretOf, findCsiStages, partsOfKey, recordOf, stageKey } from './csi-records.js';
import { capabilityOf, checkInline, csiSource, groupDecision, isCsi, type CsiSource } from './csi-source.js';
import { UntriedRecords } from './untried-records.js';

/** How often a driver that asks for it (`requiresRepublish`) is told of fresh tokens. */
const republishMs = 60_000;

/** Volumes of CSI drivers: the node side of the specification with the kubelet's paths and records (facts 5.7). */
export class CsiPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/csi';
  readonly hasFolder = true;
  readonly deletesContent = false;
  readonly handsOutDevices = true;
  readonly attachesHere: boolean;
  readonly #context: PluginContext;
  readonly #drivers: CsiDriverSource;
  readonly #untried = new UntriedRecords();

  constructor(context: PluginContext, drivers: CsiDriverSource) {
    this.attachesHere = context.attachesHere;
    this.#context = context;
    this.#drivers = drivers;
  }

  supports(origin: PodVolume['origin']): boolean {
    return isCsi(origin);
  }

  async stageKey(volume: PodVolume, signal: AbortSignal): Promise<string | undefined> {
    const source = csiSource(volume);
    if (source.inline) return undefined;
    const { driver, object } = await this.#driver(volume, source, signal);
    const attach = needsAttach(source, driver, object, this.#context.standalone);
    if (!attach && !stages(driver)) return undefined;
    return stageKey(source.driver, source.handle, volume.block ? volume.specName : '');
  }

  async attach(volume: PodVolume, signal: AbortSignal): Promise<NodeStage> {
    const source = csiSource(volume);
    const { driver, object } = await this.#driver(volume, source, signal);
    if (!needsAttach(source, driver, object, this.#context.standalone)) return {};
    // Before the driver is asked: what says after a crash that there is something to detach.
    const record = await this.#recordStage(volume, source);
    const attached = await this.#untried.call(
      record,
      () => attachCsi({ volume, source, driver, object, drivers: this.#drivers }, this.#context, signal),
      () => this.#forgetStage(volume, source),
    );
    return { context: attached, attachedHere: this.attachesHere };
  }

  async stage(volume: PodVolume, attached: NodeStage, signal: AbortSignal): Promise<NodeStage> {
    const source = csiSource(volume);
    const { driver, object } = await this.#driver(volume, source, signal);
    if (!stages(driver)) return attached;
    const label = this.#label(volume, object);
    const group = groupDecision(volume, source, driver, object);
    const record = await this.#recordStage(volume, source, label);
    const stagingPath = this.#stagingPath(volume, source);
    if ((await mkdir(stagingPath, { recursive: true, mode: 0o750 })) !== undefined) this.#untried.add(stagingPath);
    const request = {
      volumeId: source.handle,
      stagingPath,
      capability: capabilityOf(volume, source, driver, group, contextOptions(label)),
      publishContext: attached.context ?? {},
      volumeContext: source.attributes,
      secrets: (await this.#secret(volume, source.stageSecret, signal)).values,
    };
    await this.#untried.call(
      stagingPath,
      () => driver.node.stage(request, subjectOf(volume), signal),
      async () => {
        const removed = await rmdirIfEmpty(stagingPath);
        if (removed && this.#untried.has(record)) await this.#forgetStage(volume, source);
        if (removed) this.#untried.drop(record);
      },
    );
    this.#untried.drop(record);
    return { ...attached, stagePath: stagingPath };
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const { volume, path, devicePath, before } = request;
    // Only a driver that asks to be called again is; a volume that is mounted does not need its driver.
    if (before && before.refreshAt === undefined) return before;
    const source = csiSource(volume);
    const { driver, object } = await this.#driver(volume, source, signal);
    if (source.inline) checkInline(source, object, this.#context.standalone);
    const readOnly = volume.readOnly || source.readOnly;
    const block = csiBlockPaths(this.#context.paths.rootDir, volume.uid, volume.specName);
    const target = volume.block ? block.publish : join(path, 'mount');
    if (volume.block) await mkdir(block.publishFolder, { recursive: true, mode: 0o750 });
    const folder = volume.block ? block.data : path;
    const label = this.#label(volume, object);
    const isNew = !(await exists(volume.block ? devicePath : join(path, volumeDataFile)));
    await writeVolumeData(folder, {
      driverName: source.driver,
      volumeHandle: source.handle,
      specVolID: volume.specName,
      nodeName: this.#context.nodeName,
      attachmentID: attachmentId(source.handle, source.driver, this.#context.nodeName),
      volumeLifecycleMode: source.inline ? 'Ephemeral' : 'Persistent',
      seLinuxMountContext: label,
      // The node's record of a block volume is the same file.
      ...(volume.block ? attachSecretOf(source) : {}),
    });
    // The link is what says that this pod has the device: a publish that nobody heard the end of must be undone too.
    const device = volume.block ? await linkDevice(target, devicePath, readOnly) : undefined;
    if (isNew) this.#untried.add(target);
    await this.#context.at('volume-publish-recorded');
    await this.#untried.call(
      target,
      () => this.#publishAt(target, request, source, driver, object, signal),
      async () => {
        if (!volume.block) await removeVolumeFolder(target);
        else if (!(await exists(target))) {
          await unlinkIfThere(devicePath);
          if (!stages(driver) && !this.#detaches(driver)) await this.#removeBlockFolders(volume.specName);
        }
      },
    );
    const refreshAt = object?.spec.requiresRepublish === true ? this.#context.clock.now() + republishMs : undefined;
    if (device) return { ...device, refreshAt };
    const keepsLabels = label !== undefined || (this.#seLinux && !(await takesLabels(target)));
    return { hostPath: target, readOnly, refreshAt, keepsLabels };
  }

  async unpublish(found: FoundVolume, signal: AbortSignal): Promise<void> {
    const { rootDir } = this.#context.paths;
    const block = csiBlockPaths(rootDir, found.uid, found.specName);
    const target = found.block ? block.publish : join(found.path, 'mount');
    // The record comes before the first call: without one, a driver that never came knows of no volume and needs not be there.
    if (!found.block && (await isUntouched(found.path))) return;
    const record = await recordOf(found, this.#context, signal);
    if (!record) {
      if (found.block || (await isMountPoint(target)))
        throw new VolumeProblem(
          'failed',
          `vol_data.json is lost and nothing tells which volume is at ${target}; it is left alone`,
        );
      return await rejectLeft(removeVolumeFolder(target));
    }
    const driver = this.#drivers.get(record.driverName);
    await driver.node.unpublish(record.volumeHandle, target, { podUid: found.uid, object: found.specName }, signal);
    // A driver may leave its file; the specification wants it gone.
    if (found.block) {
      await rm(target, { force: true });
      if (!stages(driver) && !this.#detaches(driver)) await this.#removeBlockFolders(found.specName);
    } else await rejectLeft(removeVolumeFolder(target));
  }

  async unstage({ key, stage }: FoundStage, signal: AbortSignal): Promise<void> {
    const { driver: name, blockSpecName, handle } = partsOfKey(key);
    const path = this.#stagingPathOf(name, handle, blockSpecName);
    // Never staged, or refused: the folder is made before the first call.
    if (stage.stagePath === undefined && !(await exists(path))) return;
    const driver = this.#drivers.get(name);
    if (!stages(driver)) return;
    await driver.node.unstage(handle, path, { object: handle }, signal);
  }

  /** The records go last: until then they say that there is something to undo. */
  async detach({ key, stage }: FoundStage, signal: AbortSignal): Promise<void> {
    const { driver: name, blockSpecName, handle } = partsOfKey(key);
    const path = this.#stagingPathOf(name, handle, blockSpecName);
    const folder =
      blockSpecName === '' ? csiDataFolder(path) : csiBlockPaths(this.#context.paths.rootDir, '', blockSpecName).data;
    // Nothing of this run or an earlier one says that it was ever attached.
    if (stage.context === undefined && stage.stagePath === undefined && !(await exists(folder))) return;
    const driver = this.#drivers.get(name);
    if (this.#detaches(driver)) {
      const secrets = await this.#detachSecrets(folder, signal);
      await driver.controller.unpublish(handle, driver.nodeInfo.nodeId, secrets, { object: handle }, signal);
    }
    await this.#context.at('before volume-stage-forgotten');
    if (blockSpecName === '') await rejectLeft(removeVolumeFolder(path));
    else await this.#removeBlockFolders(blockSpecName);
    await this.#context.at('after volume-stage-forgotten');
  }

  uniqueName(key: string): string {
    const { driver, handle } = partsOfKey(key);
    return `${this.name}/${driver}^${handle}`;
  }

  async findStages(signal: AbortSignal): Promise<readonly FoundStage[]> {
    return await findCsiStages(this.#context, signal);
  }

  async stageKeyOf(found: FoundVolume): Promise<string | undefined> {
    const record = await recordOf(found, this.#context, new AbortController().signal);
    if (!record || record.volumeLifecycleMode === 'Ephemeral') return undefined;
    return stageKey(record.driverName, record.volumeHandle, found.block ? found.specName : '');
  }

  async stats(
    volume: PodVolume,
    { hostPath }: PublishedVolume,
    signal: AbortSignal,
  ): Promise<Omit<VolumeUsage, 'volume'> | undefined> {
    const source = csiSource(volume);
    const driver = this.#drivers.get(source.driver);
    // Where the driver put it; its device has a size too.
    const volumePath = volume.block
      ? csiBlockPaths(this.#context.paths.rootDir, volume.uid, volume.specName).publish
      : hostPath;
    if (volumePath === undefined || !driver.capabilities.node.has('GET_VOLUME_STATS')) return undefined;
    const stagingPath = stages(driver) ? this.#stagingPath(volume, source) : undefined;
    const { bytes, inodes } = await driver.node.stats(
      { volumeId: source.handle, volumePath, stagingPath },
      subjectOf(volume),
      signal,
    );
    if (!bytes) return undefined;
    return {
      capacityBytes: bytes.total,
      usedBytes: bytes.used,
      availableBytes: bytes.available,
      inodes: inodes?.total ?? 0,
      inodesUsed: inodes?.used ?? 0,
    };
  }

  async expand({ volume, path, staged }: PublishRequest, bytes: number, signal: AbortSignal): Promise<number> {
    const source = csiSource(volume);
    const { driver, object } = await this.#driver(volume, source, signal);
    if (!driver.capabilities.node.has('EXPAND_VOLUME')) return bytes;
    const block = csiBlockPaths(this.#context.paths.rootDir, volume.uid, volume.specName);
    const grown = await driver.node.expand(
      {
        volumeId: source.handle,
        volumePath: volume.block ? block.publish : join(path, 'mount'),
        stagingPath: staged.stagePath,
        requiredBytes: bytes,
        capability: capabilityOf(volume, source, driver, groupDecision(volume, source, driver, object)),
        secrets: (await this.#secret(volume, source.expandSecret, signal)).values,
      },
      subjectOf(volume),
      signal,
    );
    return grown ?? bytes;
  }

  get #seLinux(): boolean {
    return this.#context.seLinuxFileContext !== undefined;
  }

  #label(volume: PodVolume, object: CsiDriverObject | undefined): string | undefined {
    const driverMounts = object?.spec.seLinuxMount ?? false;
    return seLinuxMountLabel(volume, { fileContext: this.#context.seLinuxFileContext, driverMounts });
  }

  #detaches(driver: CsiDriver): boolean {
    return this.#context.standalone && driver.capabilities.controller.has('PUBLISH_UNPUBLISH_VOLUME');
  }

  /** The folders that pods share, once the last has gone. */
  async #removeBlockFolders(specName: string): Promise<void> {
    const block = csiBlockPaths(this.#context.paths.rootDir, '', specName);
    if (!(await rmdirIfEmpty(block.publishFolder))) return;
    for (const folder of [block.staging, block.globalMap]) await rmdirIfEmpty(folder);
    await rejectLeft(removeVolumeFolder(join(block.data, 'none')));
    await rmdirIfEmpty(block.volumeFolder);
  }

  async #publishAt(
    target: string,
    { volume, staged }: PublishRequest,
    source: CsiSource,
    driver: CsiDriver,
    object: CsiDriverObject | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const group = groupDecision(volume, source, driver, object);
    const wasMounted = group.by === 'agent' && !volume.block && (await isMountPoint(target));
    const { values } = await this.#secret(volume, source.publishSecret, signal);
    const { name = '', namespace = 'default', uid = '' } = volume.pod.metadata ?? {};
    const serviceAccountName = volume.pod.spec?.serviceAccountName ?? '';
    // Without a CSIDriver object: a driver learns only from this that the volume is the pod's own.
    const tellsPod = object ? object.spec.podInfoOnMount === true : source.inline;
    const { volumeContext, secrets } = publishVolumeContext({
      attributes: source.attributes,
      secrets: values,
      pod: tellsPod ? { name, namespace, uid, serviceAccountName } : undefined,
      inline: source.inline,
      tokens: await this.#tokens(volume, object, signal),
      tokensInSecrets: object?.spec.serviceAccountTokenInSecrets ?? false,
    });
    await driver.node.publish(
      {
        volumeId: source.handle,
        stagingPath: staged.stagePath ?? (volume.block ? this.#stagingPath(volume, source) : undefined),
        targetPath: target,
        capability: capabilityOf(volume, source, driver, group, contextOptions(this.#label(volume, object))),
        readOnly: volume.readOnly || source.readOnly,
        publishContext: staged.context ?? {},
        volumeContext,
        secrets,
      },
      subjectOf(volume),
      signal,
    );
    if (group.by !== 'agent' || volume.block) return;
    // A driver that is told again and again writes new files each time.
    await giveToGroup(volume, target, wasMounted && object?.spec.requiresRepublish !== true, this.#context, signal);
  }

  async #tokens(
    { pod }: PodVolume,
    object: CsiDriverObject | undefined,
    signal: AbortSignal,
  ): Promise<CsiTokens | undefined> {
    const requests = object?.spec.tokenRequests ?? [];
    if (requests.length === 0) return undefined;
    const tokens: Record<string, CsiTokens[string]> = {};
    for (const { audience, expirationSeconds } of requests) {
      const { token, expiresAt } = await this.#context.tokens.get(
        pod,
        audience === '' ? [] : [audience],
        expirationSeconds,
        signal,
      );
      tokens[audience] = { token, expirationTimestamp: `${new Date(expiresAt).toISOString().slice(0, 19)}Z` };
    }
    return tokens;
  }

  async #driver(
    volume: PodVolume,
    source: CsiSource,
    signal: AbortSignal,
  ): Promise<{ driver: CsiDriver; object: CsiDriverObject | undefined }> {
    const object = await this.#context.read(volume.uid, 'CSIDriver', '', source.driver, signal);
    return { driver: this.#drivers.get(source.driver), object };
  }

  /** The claim and its volume may be gone by now: what the attach wrote down is all there is. */
  async #detachSecrets(folder: string, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    const read = await readVolumeData(folder);
    if (read.kind !== 'read') return {};
    const { attachSecretName: name, attachSecretNamespace: namespace = 'default' } = read.data;
    const { objects } = this.#context;
    const get = (place: string, secret: string): Promise<Secret | undefined> =>
      objects.get('Secret', place, secret, signal);
    return (await secretContent(get, { name, namespace }, namespace)).values;
  }

  #secret(volume: PodVolume, ref: CsiSource['stageSecret'], signal: AbortSignal): ReturnType<typeof readSecret> {
    return readSecret(this.#context.read, volume.uid, ref, volume.pod.metadata?.namespace ?? 'default', signal);
  }

  /** Returns its path. */
  async #recordStage(volume: PodVolume, source: CsiSource, seLinuxMountContext?: string): Promise<string> {
    const { rootDir } = this.#context.paths;
    const folder = volume.block
      ? csiBlockPaths(rootDir, volume.uid, volume.specName).data
      : csiDataFolder(csiStagingPath(rootDir, source.driver, source.handle));
    const path = join(folder, volumeDataFile);
    if (!(await exists(path))) this.#untried.add(path);
    await writeVolumeData(folder, {
      driverName: source.driver,
      volumeHandle: source.handle,
      seLinuxMountContext,
      ...attachSecretOf(source),
    });
    await this.#context.at('volume-stage-recorded');
    return path;
  }

  async #forgetStage(volume: PodVolume, source: CsiSource): Promise<void> {
    if (volume.block) await this.#removeBlockFolders(volume.specName);
    else await removeVolumeFolder(this.#stagingPath(volume, source));
  }

  #stagingPath(volume: PodVolume, source: CsiSource): string {
    return this.#stagingPathOf(source.driver, source.handle, volume.block ? volume.specName : '');
  }

  #stagingPathOf(driver: string, handle: string, blockSpecName: string): string {
    const { rootDir } = this.#context.paths;
    if (blockSpecName !== '') return csiBlockPaths(rootDir, '', blockSpecName).staging;
    return csiStagingPath(rootDir, driver, handle);
  }
}

const stages = (driver: CsiDriver): boolean => driver.capabilities.node.has('STAGE_UNSTAGE_VOLUME');
