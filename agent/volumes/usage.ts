import { statfs } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import type { PodUid } from '../api/index.js';
import { orAbort } from '../../base/signals.js';
import { programSucceeded, type RunProgram } from '../../base/run-program.js';
import { walkTree } from './fs/walk-tree.js';
import { mountHolding, readMountInfo } from './mounts/mount-table.js';
import { counted, csiDriverOf, type CountOperation } from './storage-operations.js';
import type { VolumeUsage } from './volume-manager.js';
import type { PluginVolume } from './pod-mounter.js';

export interface UsageDeps {
  readonly run: RunProgram;
  readonly count: CountOperation;
}

/** Space that volumes take. Measured when asked, never twice at a time; how often is for those who ask to say. */
export class VolumeUsages {
  readonly #deps: UsageDeps;
  readonly #lifetime: AbortSignal;
  readonly #underWay = new Map<PodUid, Promise<readonly VolumeUsage[]>>();

  /** A measurement serves all who ask meanwhile, so it ends with `lifetime` and not with the first of them. */
  constructor(deps: UsageDeps, lifetime: AbortSignal) {
    this.#deps = deps;
    this.#lifetime = lifetime;
  }

  async of(uid: PodUid, volumes: readonly PluginVolume[], signal: AbortSignal): Promise<readonly VolumeUsage[]> {
    const joined = this.#underWay.get(uid);
    if (joined) return await orAbort(joined, signal);
    // A driver that is away has nothing to say of its volume; the pod's others are told all the same.
    const known = (volume: PluginVolume): Promise<VolumeUsage | undefined> =>
      measure(volume, this.#deps, this.#lifetime).catch(() => undefined);
    const usages = Promise.all(volumes.map(known)).then((all) => all.filter((usage) => usage !== undefined));
    this.#underWay.set(uid, usages);
    const done = (): void => {
      if (this.#underWay.get(uid) === usages) this.#underWay.delete(uid);
    };
    usages.then(done, done);
    return await orAbort(usages, signal);
  }

  forget(uid: PodUid): void {
    this.#underWay.delete(uid);
  }
}

/** Undefined for what is not the pod's to measure: a path of the host, an image, a device. */
async function measure(measured: PluginVolume, deps: UsageDeps, signal: AbortSignal): Promise<VolumeUsage | undefined> {
  const { volume, published, plugin } = measured;
  const claim =
    volume.origin.kind === 'persistent'
      ? {
          namespace: volume.origin.claim.metadata?.namespace ?? 'default',
          name: volume.origin.claim.metadata?.name ?? '',
        }
      : undefined;
  const timed = <T>(how: string, work: () => Promise<T>): Promise<T> =>
    counted(deps.count, 'volume_metric_collection', how, work);
  const told =
    plugin.stats &&
    (await timed(csiDriverOf(volume.origin) ?? '', async () => await plugin.stats?.(volume, published, signal)));
  if (told) return { ...told, volume: volume.name, claim };
  if (published.hostPath === undefined || !plugin.hasFolder) return undefined;
  const remote = !plugin.deletesContent && (await isRemote(published.hostPath));
  const path = published.hostPath;
  const ownFileSystem = !plugin.deletesContent || plugin.memory?.(volume) !== undefined;
  // By the kubelet's names for the two ways.
  const usage = await timed(ownFileSystem ? 'statfs' : 'du', async () => {
    const whole = remote ? await remoteUsage(path, deps.run, signal) : await fileSystemUsage(path);
    return whole && (ownFileSystem ? whole : { ...whole, ...(await folderUsage(path, signal)) });
  });
  return usage && { ...usage, volume: volume.name, claim };
}

async function fileSystemUsage(path: string): Promise<Omit<VolumeUsage, 'volume'>> {
  const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(path);
  return {
    capacityBytes: blocks * bsize,
    usedBytes: (blocks - bfree) * bsize,
    availableBytes: bavail * bsize,
    inodes: files,
    inodesUsed: files - ffree,
  };
}

/** File systems that wait for somebody else's answer. */
const remoteTypes = /^(nfs4?|cifs|smb3|ceph|9p|afs|lustre|glusterfs|fuse|fuse\..*)$/;
const remoteTimeoutMs = 5000;

async function isRemote(path: string): Promise<boolean> {
  return remoteTypes.test(mountHolding(await readMountInfo(), path)?.fsType ?? '');
}

/** By a program that can be killed: a server that is away would take one of the agent's own threads with each question. */
async function remoteUsage(
  path: string,
  run: RunProgram,
  signal: AbortSignal,
): Promise<Omit<VolumeUsage, 'volume'> | undefined> {
  const argv = ['stat', '--file-system', '--format=%S %b %f %a %c %d', '--', path] as const;
  const result = await run({ argv: [...argv], env, timeoutMs: remoteTimeoutMs, killAfterMs: 0 }, signal);
  if (!programSucceeded(result)) return undefined;
  const numbers = result.stdout.toString('utf8').trim().split(' ').map(Number);
  const [size = 0, blocks = 0, free = 0, available = 0, inodes = 0, freeInodes = 0] = numbers;
  return {
    capacityBytes: blocks * size,
    usedBytes: (blocks - free) * size,
    availableBytes: available * size,
    inodes,
    inodesUsed: inodes - freeInodes,
  };
}

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

const blockBytes = 512;

/** Like du: blocks on disk, a file with several names once. */
async function folderUsage(path: string, signal: AbortSignal): Promise<{ usedBytes: number; inodesUsed: number }> {
  let usedBytes = 0;
  const inodes = new Set<number>();
  const visit = (_: unknown, info: Stats): Promise<void> => {
    if (!inodes.has(info.ino)) usedBytes += info.blocks * blockBytes;
    inodes.add(info.ino);
    return Promise.resolve();
  };
  await walkTree(path, { visit, skipped: () => {} }, signal);
  return { usedBytes, inodesUsed: inodes.size };
}
