import { statfs } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import type { Clock } from '../../base/clock.js';
import type { PodUid } from '../api/index.js';
import { orAbort } from '../../base/signals.js';
import { walkTree } from './fs/walk-tree.js';
import type { VolumeUsage } from './volume-manager.js';
import type { PluginVolume } from './pod-mounter.js';

interface Cached {
  readonly at: number;
  readonly usages: Promise<readonly VolumeUsage[]>;
}

/** How long an answer serves: the kubelet's volumeStatsAggPeriod. */
const usualMaxAgeMs = 60_000;

/** Space that volumes take. Measured when asked, kept for a minute, never twice at a time. */
export class VolumeUsages {
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  readonly #lifetime: AbortSignal;
  readonly #cache = new Map<PodUid, Cached>();

  /** A measurement serves all who ask meanwhile, so it ends with `lifetime` and not with the first of them. */
  constructor(clock: Clock, lifetime: AbortSignal, maxAgeMs = usualMaxAgeMs) {
    this.#clock = clock;
    this.#lifetime = lifetime;
    this.#maxAgeMs = maxAgeMs;
  }

  async of(uid: PodUid, volumes: readonly PluginVolume[], signal: AbortSignal): Promise<readonly VolumeUsage[]> {
    const cached = this.#cache.get(uid);
    if (cached && this.#clock.now() - cached.at < this.#maxAgeMs) return await orAbort(cached.usages, signal);
    const usages = Promise.all(volumes.map((volume) => measure(volume, this.#lifetime))).then((all) =>
      all.filter((usage) => usage !== undefined),
    );
    this.#cache.set(uid, { at: this.#clock.now(), usages });
    usages.catch(() => this.#cache.delete(uid));
    return await orAbort(usages, signal);
  }

  forget(uid: PodUid): void {
    this.#cache.delete(uid);
  }
}

/** Undefined for what is not the pod's to measure: a path of the host, an image, a device. */
async function measure(measured: PluginVolume, signal: AbortSignal): Promise<VolumeUsage | undefined> {
  const { volume, published, plugin } = measured;
  const claim =
    volume.origin.kind === 'persistent'
      ? {
          namespace: volume.origin.claim.metadata?.namespace ?? 'default',
          name: volume.origin.claim.metadata?.name ?? '',
        }
      : undefined;
  const told = await plugin.stats?.(volume, published, signal);
  if (told) return { ...told, volume: volume.name, claim };
  if (published.hostPath === undefined || !plugin.hasFolder) return undefined;
  const whole = await fileSystemUsage(published.hostPath);
  const ownFileSystem = !plugin.deletesContent || plugin.memory?.(volume) !== undefined;
  const used = ownFileSystem ? {} : await folderUsage(published.hostPath, signal);
  return { ...whole, ...used, volume: volume.name, claim };
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
