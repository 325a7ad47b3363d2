import { mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KeyedLock } from '../../../../base/fifo-limit.js';
import { errnoOf, errorText } from '../../../../base/errors.js';
import { readSecret, type PluginContext } from '../../plugin-context.js';
import { removeEmptyFolders } from '../../pod-teardown.js';
import { VolumeProblem } from '../../volume-error.js';
import { escapePlugin } from '../../volume-paths.js';
import type {
  FoundStage,
  FoundVolume,
  NodeStage,
  PodVolume,
  PublishedVolume,
  PublishRequest,
  VolumePlugin,
} from '../../volume-plugin.js';
import { isMounted, publishDisk, stageDisk } from '../network-disks/disk-volume.js';
import { growDisk } from '../network-disks/grow-disk.js';
import { linkTarget, ScsiDisks } from '../network-disks/scsi-disks.js';
import { stagedNames, unmountAllAt } from '../staging-folders.js';
import { Initiator } from './initiator.js';
import {
  diskKey,
  diskOfKey,
  diskRecord,
  iscsiDisk,
  iscsiSource,
  parseDiskRecord,
  type IscsiDisk,
  type IscsiSource,
} from './iscsi-disk.js';
import { IscsiSessions } from './sessions.js';

/** Where the kernel and udev show disks. */
export interface IscsiRoots {
  readonly sys: string;
  readonly byPath: string;
}

const deviceMs = 30_000;
const lookMs = 100;

/** A disk of an iSCSI target: logged in to, formatted where it is blank, and mounted once for the node (the kubelet's layout). */
export class IscsiPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/iscsi';
  readonly hasFolder = true;
  readonly deletesContent = false;
  readonly handsOutDevices = true;
  readonly #context: PluginContext;
  readonly #root: string;
  readonly #roots: IscsiRoots;
  readonly #disks: ScsiDisks;
  readonly #sessions: IscsiSessions;
  readonly #initiator: Initiator;
  /** Two disks of one target share its sessions. */
  readonly #targets = new KeyedLock();

  constructor(context: PluginContext, roots: IscsiRoots = { sys: '/sys', byPath: '/dev/disk/by-path' }) {
    this.#context = context;
    this.#roots = roots;
    this.#root = context.paths.plugin(this.name);
    this.#disks = new ScsiDisks(roots.sys, context.run);
    this.#sessions = new IscsiSessions(roots.sys);
    this.#initiator = new Initiator(context.run, this.#sessions);
  }

  supports(origin: PodVolume['origin']): boolean {
    return iscsiSource(origin) !== undefined;
  }

  stageKey(volume: PodVolume): Promise<string | undefined> {
    return Promise.resolve(diskKey(iscsiDisk(volume.specName, required(volume)), volume.block));
  }

  async attach(volume: PodVolume, signal: AbortSignal): Promise<NodeStage> {
    const source = required(volume);
    const disk = iscsiDisk(volume.specName, source);
    const stagePath = join(this.#root, diskKey(disk, volume.block));
    // What is mounted needs no target to be asked, which may be away just now.
    if (!volume.block && (await isMounted(stagePath))) return { stagePath };
    await mkdir(stagePath, { recursive: true, mode: 0o750 });
    await writeFile(join(stagePath, recordName), diskRecord(disk), { mode: 0o600 });
    await this.#context.at('volume-stage-recorded');
    const device = await this.#targets.run(disk.iqn, () => this.#connect(volume, disk, source, signal), signal);
    return { stagePath, devicePath: device };
  }

  async stage(volume: PodVolume, attached: NodeStage, signal: AbortSignal): Promise<NodeStage> {
    return await stageDisk(volume, attached, required(volume), this.#context, signal);
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    if (request.before) return request.before;
    await this.#rememberKey(request.volume, signal);
    return await publishDisk(request, required(request.volume), this.#context, signal);
  }

  async expand(request: PublishRequest, bytes: number, signal: AbortSignal): Promise<number> {
    return await growDisk(request, this.#disks, this.#context, bytes, signal);
  }

  async unstage({ key }: FoundStage, signal: AbortSignal): Promise<void> {
    await unmountAllAt(join(this.#root, key), this.#context.mounter, signal);
  }

  /** The record goes last: until then it says that there is something to log out of. */
  async detach({ key }: FoundStage, signal: AbortSignal): Promise<void> {
    const path = join(this.#root, key);
    const disk = parseDiskRecord(await textOf(join(path, recordName))) ?? diskOfKey(key);
    if (disk) await this.#targets.run(disk.iqn, () => this.#disconnect(key, disk, signal), signal);
    await rm(join(path, recordName), { force: true });
    await removeEmptyFolders(path);
    await rmdir(dirname(path)).catch((err: unknown) => {
      if (errnoOf(err) !== 'ENOTEMPTY' && errnoOf(err) !== 'ENOENT') throw err;
    });
  }

  async findStages(): Promise<readonly FoundStage[]> {
    const keys = await this.#keys();
    return keys.map((key) => ({ key, stage: { stagePath: join(this.#root, key) } }));
  }

  async stageKeyOf(found: FoundVolume): Promise<string | undefined> {
    const key = await textOf(this.#keyFile(found.uid, found.specName));
    return key === '' ? undefined : key;
  }

  async #keys(): Promise<string[]> {
    const keys: string[] = [];
    for (const kind of ['', 'volumeDevices/']) {
      for (const name of (await stagedNames(join(this.#root, kind))).filter((one) => one.startsWith('iface-')))
        for (const disk of await stagedNames(join(this.#root, kind, name))) keys.push(`${kind}${name}/${disk}`);
    }
    return keys;
  }

  /** By as many portals as can be reached; one is enough. */
  async #connect(volume: PodVolume, disk: IscsiDisk, source: IscsiSource, signal: AbortSignal): Promise<string> {
    const { read, clock, log } = this.#context;
    const namespace = volume.pod.metadata?.namespace ?? 'default';
    // As in the kubelet, a Secret that nothing asks for need not be there.
    const usesChap = source.chapAuthDiscovery === true || source.chapAuthSession === true;
    const secretRef = usesChap ? source.secretRef : undefined;
    const { values } = await readSecret(read, volume.uid, secretRef, namespace, signal);
    const transport = await this.#initiator.prepareInterface(disk, signal);
    const devices: string[] = [];
    const problems: string[] = [];
    for (const portal of disk.portals) {
      try {
        await this.#initiator.login(portal, disk, source, values, signal);
        const host = await this.#sessions.hostOf(disk.iqn, portal);
        if (host !== undefined) await this.#disks.scan(host, disk.lun);
        devices.push(await this.#appeared(portal, disk, transport, signal));
      } catch (err) {
        signal.throwIfAborted();
        problems.push(`portal ${portal}: ${errorText(err)}`);
      }
    }
    const device = await this.#disks.toMount(devices);
    if (device === undefined) throw new VolumeProblem('unavailable', problems.join('; '));
    if (problems.length > 0)
      log.warn({ podUid: volume.uid, volume: volume.name, problems, at: clock.now() }, 'not all portals can be used');
    return device;
  }

  /** The device behind udev's link for the disk, once it is there. */
  async #appeared(portal: string, disk: IscsiDisk, transport: string, signal: AbortSignal): Promise<string> {
    const { clock } = this.#context;
    const until = clock.now() + deviceMs;
    const end = `ip-${portal.replaceAll(/[[\]]/g, '')}-iscsi-${disk.iqn}-lun-${disk.lun}`;
    while (clock.now() < until) {
      const link = await this.#linkOf(end, transport);
      const device = link === undefined ? undefined : await linkTarget(join(this.#roots.byPath, link));
      if (device !== undefined) return device;
      await clock.sleep(lookMs, signal);
    }
    throw new VolumeProblem(
      'unavailable',
      `no device appeared at ${this.#roots.byPath}/${end} in ${deviceMs / 1000} s`,
    );
  }

  /** With an offload the link begins with the place of the card. */
  async #linkOf(end: string, transport: string): Promise<string | undefined> {
    if (transport === 'tcp') return end;
    return (await readdir(this.#roots.byPath).catch(() => [])).find((name) => name.endsWith(`-${end}`));
  }

  async #disconnect(key: string, disk: IscsiDisk, signal: AbortSignal): Promise<void> {
    for (const portal of disk.portals) {
      const end = `ip-${portal.replaceAll(/[[\]]/g, '')}-iscsi-${disk.iqn}-lun-${disk.lun}`;
      const device = await linkTarget(join(this.#roots.byPath, end));
      if (device !== undefined) await this.#disks.letGo(device, signal);
    }
    const others = (await this.#keys()).filter((other) => other !== key && diskOfKey(other)?.iqn === disk.iqn);
    if (others.length === 0) await this.#initiator.logout(disk, signal);
  }

  /** Which disk a pod's folder is, for after a restart. */
  async #rememberKey(volume: PodVolume, signal: AbortSignal): Promise<void> {
    const file = this.#keyFile(volume.uid, volume.specName);
    const key = await this.stageKey(volume);
    signal.throwIfAborted();
    await mkdir(dirname(file), { recursive: true, mode: 0o750 });
    await writeFile(file, key ?? '', { mode: 0o600 });
  }

  #keyFile(uid: string, specName: string): string {
    return join(this.#context.paths.podPlugins(uid), escapePlugin(this.name), specName, 'disk');
  }
}

const recordName = 'iscsi.json';

function required({ origin }: PodVolume): IscsiSource {
  const source = iscsiSource(origin);
  if (!source) throw new VolumeProblem('unsupported', 'not an iSCSI volume');
  return source;
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return '';
    throw err;
  }
}
