import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  flexVolumeDeviceMountPath,
  FlexVolumeError,
  isFlexVolumeSecret,
  type FlexVolumeDriver,
  type FlexVolumeMountOptions,
  type FlexVolumeOptions,
} from '../../../csi/index.js';
import type { CallSubject } from '../../../base/call-recorder.js';
import { quantityValue, type FlexPersistentVolumeSource, type FlexVolumeSource } from '../../api/index.js';
import { isMountPoint } from '../fs/is-mount-point.js';
import { formatAndMount } from '../mounts/format-and-mount.js';
import { growFileSystem } from '../mounts/grow-file-system.js';
import { giveToGroup } from '../ownership.js';
import { readSecret, type PluginContext } from '../plugin-context.js';
import { VolumeProblem } from '../volume-error.js';
import type {
  FoundStage,
  FoundVolume,
  NodeStage,
  PodVolume,
  PublishedVolume,
  PublishRequest,
  VolumePlugin,
} from '../volume-plugin.js';
import { bindInto, isUntouched, removeStagingFolder, stagedNames, unmountAllAt } from './staging-folders.js';

export interface FlexVolumeDrivers {
  driver(name: string): FlexVolumeDriver;
}

/** Volumes of FlexVolume drivers: what a driver does not support is done here, as the kubelet does it (facts 5.6). */
export class FlexVolumePlugin implements VolumePlugin {
  readonly name = 'flexvolume';
  readonly hasFolder = true;
  readonly deletesContent = false;
  readonly attachesHere: boolean;
  readonly #context: PluginContext;
  readonly #drivers: FlexVolumeDrivers;

  constructor(context: PluginContext, drivers: FlexVolumeDrivers) {
    this.attachesHere = context.attachesHere;
    this.#context = context;
    this.#drivers = drivers;
  }

  supports(origin: PodVolume['origin']): boolean {
    return flexSource(origin) !== undefined;
  }

  folderName({ origin }: PodVolume): string {
    return required(origin).driver;
  }

  ownsFolder(plugin: string): boolean {
    return !plugin.startsWith('kubernetes.io/');
  }

  async stageKey(volume: PodVolume, signal: AbortSignal): Promise<string | undefined> {
    const { driver } = required(volume.origin);
    const { attach } = await this.#drivers.driver(driver).capabilities(signal);
    return attach ? keyOf(driver, volume.specName) : undefined;
  }

  async attach(volume: PodVolume, signal: AbortSignal): Promise<NodeStage> {
    const source = required(volume.origin);
    const driver = this.#drivers.driver(source.driver);
    const subject = subjectOf(volume);
    const options = optionsOf(volume, source);
    const stagePath = this.#stagePath(source.driver, volume.specName);
    // Before the driver is asked: what says after a crash that something may be attached.
    await mkdir(stagePath, { recursive: true, mode: 0o750 });
    await this.#context.at('volume-stage-recorded');
    const { attachesHere, nodeName } = this.#context;
    const { device } = attachesHere
      ? await driver.attach(options, nodeName, subject, signal)
      : await this.#attachedByCluster(volume, keyOf(source.driver, volume.specName), signal);
    const waited = await driver.waitForAttach(device, options, subject, signal);
    return { devicePath: waited.device, stagePath, attachedHere: attachesHere };
  }

  async stage(volume: PodVolume, attached: NodeStage, signal: AbortSignal): Promise<NodeStage> {
    const source = required(volume.origin);
    const { devicePath = '', stagePath = '' } = attached;
    if (await isMountPoint(stagePath)) return attached;
    const options = optionsOf(volume, source);
    const told = await this.#drivers
      .driver(source.driver)
      .mountDevice(stagePath, devicePath, options, subjectOf(volume), signal);
    if (told === 'not-supported' && devicePath !== '') {
      const mount = { device: devicePath, target: stagePath, fsType: source.fsType ?? '', readOnly: options.readOnly };
      await formatAndMount({ ...mount, mountOptions: mountOptionsOf(volume) }, this.#context, signal);
    }
    return attached;
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const { volume, path, staged, before, isNew } = request;
    const source = required(volume.origin);
    const { readOnly } = optionsOf(volume, source);
    if (before) return before;
    const wasMounted = !isNew && (await isMountPoint(path));
    if (!wasMounted) await this.#mount(volume, path, staged, signal);
    const { fsGroup, selinuxRelabel } = await this.#drivers.driver(source.driver).capabilities(signal);
    if (fsGroup && !readOnly) await giveToGroup(volume, path, wasMounted, this.#context, signal);
    return { hostPath: path, readOnly, keepsLabels: !selinuxRelabel };
  }

  async #mount(volume: PodVolume, path: string, staged: NodeStage, signal: AbortSignal): Promise<void> {
    const source = required(volume.origin);
    const options = await this.#mountOptions(volume, source, signal);
    const driver = this.#drivers.driver(source.driver);
    let told;
    try {
      told = await driver.mount(path, options, subjectOf(volume), signal);
    } catch (err) {
      // As in the kubelet: what a driver says it did not do it is not asked to undo.
      if (err instanceof FlexVolumeError && err.failure.certainty === 'final' && (await isUntouched(path)))
        await rmdir(path);
      throw err;
    }
    if (told !== 'not-supported') return;
    if (staged.stagePath === undefined)
      throw new VolumeProblem('refused', 'the driver supports neither attach nor mount');
    await bindInto(staged.stagePath, path, this.#context.mounter, signal);
  }

  /** In a cluster the volume itself is grown by a controller; here the driver is asked to. Then its file system, on the node. */
  async expand({ volume, path, staged }: PublishRequest, bytes: number, signal: AbortSignal): Promise<number> {
    const source = required(volume.origin);
    const driver = this.#drivers.driver(source.driver);
    const options = optionsOf(volume, source);
    const subject = subjectOf(volume);
    const mounted = staged.stagePath ?? path;
    const before = knownSize(volume);
    const size = this.#context.standalone
      ? (await driver.expandVolume(options, mounted, bytes, before, subject, signal)).bytes
      : bytes;
    const { requiresFSResize } = await driver.capabilities(signal);
    if (!requiresFSResize) return size;
    const device = staged.devicePath ?? '';
    const told = await driver.expandFs(options, device, mounted, size, before, subject, signal);
    if (told === 'done') return size;
    if (device === '')
      throw new VolumeProblem('unsupported', 'the driver grows no file systems and attached no device');
    await growFileSystem(device, mounted, this.#context, signal);
    return size;
  }

  async unpublish(found: FoundVolume, signal: AbortSignal): Promise<void> {
    const subject = { podUid: found.uid, object: found.specName };
    try {
      await this.#drivers.driver(found.plugin).unmount(found.path, subject, signal);
    } catch (err) {
      // With its driver gone there is nothing to undo where nothing was done.
      const gone = err instanceof FlexVolumeError && err.failure.code === 'not-installed';
      if (!gone || !(await isUntouched(found.path))) throw err;
    }
    await unmountAllAt(found.path, this.#context.mounter, signal);
  }

  async unstage({ key }: FoundStage, signal: AbortSignal): Promise<void> {
    const { driver, specName } = partsOf(key);
    const path = this.#stagePath(driver, specName);
    if (await isMountPoint(path)) await this.#drivers.driver(driver).unmountDevice(path, { object: specName }, signal);
    await unmountAllAt(path, this.#context.mounter, signal);
  }

  /** Its folder goes last: until then it says that there is something to detach. */
  async detach({ key }: FoundStage, signal: AbortSignal): Promise<void> {
    const { driver, specName } = partsOf(key);
    const { attachesHere, nodeName } = this.#context;
    // What the cluster's controller attached is its own to detach, once the node no longer uses it.
    if (attachesHere) await this.#drivers.driver(driver).detach(specName, nodeName, { object: specName }, signal);
    await removeStagingFolder(this.#stagePath(driver, specName), this.#context.mounter, signal);
  }

  uniqueName(key: string): string {
    const { driver, specName } = partsOf(key);
    return `${driver}/${specName}`;
  }

  /** In a cluster its controller attaches: it alone knows whether another node still has the volume. */
  async #attachedByCluster({ uid }: PodVolume, key: string, signal: AbortSignal): Promise<{ readonly device: string }> {
    const { objects, nodeName } = this.#context;
    this.#context.followAttached(uid);
    const node = await objects.get('Node', '', nodeName, signal);
    const name = this.uniqueName(key);
    const found = node?.status?.volumesAttached?.find((attached) => attached.name === name);
    if (found) return { device: found.devicePath };
    throw new VolumeProblem(
      'unavailable',
      `the cluster has not attached volume ${name} to node ${nodeName} yet (volumesAttached of its status; the driver must be installed where the controller manager runs)`,
    );
  }

  async findStages(): Promise<readonly FoundStage[]> {
    const root = this.#context.paths.plugin('kubernetes.io/flexvolume');
    const found: FoundStage[] = [];
    for (const driver of await driversBelow(root)) {
      for (const specName of await stagedNames(join(root, driver, 'mounts')))
        found.push({ key: keyOf(driver, specName), stage: { stagePath: this.#stagePath(driver, specName) } });
    }
    return found;
  }

  stageKeyOf({ plugin, specName }: FoundVolume): Promise<string | undefined> {
    return Promise.resolve(keyOf(plugin, specName));
  }

  #stagePath(driver: string, specName: string): string {
    return flexVolumeDeviceMountPath(this.#context.paths.rootDir, driver, specName);
  }

  async #mountOptions(volume: PodVolume, source: FlexSource, signal: AbortSignal): Promise<FlexVolumeMountOptions> {
    const { name = '', namespace = 'default', uid = '' } = volume.pod.metadata ?? {};
    const secret = await readSecret(this.#context.read, volume.uid, source.secretRef, namespace, signal);
    if (source.secretRef?.name && !isFlexVolumeSecret(secret.type, source.driver))
      throw new VolumeProblem('refused', `secret "${source.secretRef.name}" is not of type ${source.driver}`);
    return {
      ...optionsOf(volume, source),
      pod: { name, namespace, uid, serviceAccountName: volume.pod.spec?.serviceAccountName ?? '' },
      fsGroup: volume.fsGroup,
      secrets: secret.bytes,
    };
  }
}

type FlexSource = FlexVolumeSource & { readonly secretRef?: FlexPersistentVolumeSource['secretRef'] };

function flexSource(origin: PodVolume['origin']): FlexSource | undefined {
  return origin.kind === 'inline' ? origin.volume.flexVolume : origin.persistentVolume.spec?.flexVolume;
}

function required(origin: PodVolume['origin']): FlexSource {
  const source = flexSource(origin);
  if (!source) throw new VolumeProblem('unsupported', 'not a FlexVolume');
  return source;
}

function optionsOf(volume: PodVolume, { fsType, readOnly = false, options }: FlexSource): FlexVolumeOptions {
  return { volumeName: volume.specName, fsType, readOnly: readOnly || volume.readOnly, options };
}

const knownSize = ({ origin }: PodVolume): number =>
  origin.kind === 'persistent' ? quantityValue(origin.claim.status?.capacity?.['storage'] ?? '0') : 0;

const mountOptionsOf = ({ origin }: PodVolume): readonly string[] =>
  origin.kind === 'persistent' ? (origin.persistentVolume.spec?.mountOptions ?? []) : [];

export function subjectOf({ pod, specName }: PodVolume): CallSubject {
  const { name, namespace, uid } = pod.metadata ?? {};
  return { podName: name, podNamespace: namespace, podUid: uid, object: specName };
}

/** Neither part can hold a space. */
const keyOf = (driver: string, specName: string): string => `${driver} ${specName}`;

function partsOf(key: string): { driver: string; specName: string } {
  const [driver = '', specName = ''] = key.split(' ');
  return { driver, specName };
}

/** `vendor/driver` takes two levels, `driver` one. */
async function driversBelow(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const first of await stagedNames(root)) {
    const inside = await stagedNames(join(root, first));
    if (inside.includes('mounts')) found.push(first);
    found.push(...inside.filter((name) => name !== 'mounts').map((name) => `${first}/${name}`));
  }
  return found;
}
