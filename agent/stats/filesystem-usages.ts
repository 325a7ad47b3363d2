import { readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RuntimeService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText, errnoOf } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PodUid } from '../api/index.js';
import type { VolumeUsage } from '../volumes/volume-manager.js';
import { BlockDevices, deviceNumbers } from './block-devices.js';
import type { MonitoredPod } from './resource-monitor.js';
import type { FilesystemUsage } from './usage.js';

/** Bytes and inodes that one thing takes, without the filesystem it lies on. */
export interface Taken {
  readonly at: number;
  readonly usedBytes: number;
  readonly inodesUsed: number;
}

export interface PodFilesystems {
  /** By container name. */
  readonly rootfs: ReadonlyMap<string, Taken>;
  readonly logs: ReadonlyMap<string, Taken>;
  readonly volumes: readonly VolumeUsage[];
}

export interface RuntimeTaken {
  readonly images?: Pick<Taken, 'usedBytes' | 'inodesUsed'> | undefined;
  readonly containers?: Pick<Taken, 'usedBytes' | 'inodesUsed'> | undefined;
}

export type FilesystemLayout = 'one' | 'imagefs' | 'split';

export interface NodeFilesystems {
  /** What `$ROOT` lies on: volumes, logs. */
  readonly nodefs: FilesystemUsage;
  readonly imagefs: FilesystemUsage | undefined;
  /** What writable layers lie on, where that is told apart from the images. */
  readonly containerfs: FilesystemUsage | undefined;
  /** What images and writable layers take of them, as the runtime counts it. */
  readonly runtime?: RuntimeTaken | undefined;
  /** `imagefs`: images and writable layers lie apart from `$ROOT`; `split`: only the images do. */
  readonly layout: FilesystemLayout;
}

export interface FilesystemUsagesOptions {
  readonly rootDir: string;
  /** How long a measurement of a pod serves; the kubelet's volumeStatsAggPeriod. */
  readonly maxAgeMs?: number | undefined;
}

export interface FilesystemUsagesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: Pick<RuntimeService, 'listContainerStats'>;
  /** Makes the runtime's figures of writable layers those of now, where it can be asked to. */
  readonly countLayers?: (() => Promise<void>) | undefined;
  imageFilesystems(signal: AbortSignal): Promise<{
    readonly images: string | undefined;
    readonly containers: string | undefined;
    readonly taken?: RuntimeTaken | undefined;
  }>;
  volumes(uid: PodUid, signal: AbortSignal): Promise<readonly VolumeUsage[]>;
  pods(): readonly MonitoredPod[];
}

const usualMaxAgeMs = 60_000;
const blockBytes = 512;
const nothing: PodFilesystems = { rootfs: new Map(), logs: new Map(), volumes: [] };

/**
 * What pods have on disk. Counting it walks folders, so it is done once a minute at most and never while somebody waits: readers get
 * the last count and start the next one when it is old.
 */
export class FilesystemUsages {
  readonly #options: FilesystemUsagesOptions;
  readonly #deps: FilesystemUsagesDeps;
  readonly #lifetime: AbortSignal;
  readonly #devices = new BlockDevices();
  #pods: ReadonlyMap<PodUid, PodFilesystems> = new Map();
  #measuredAt = -Infinity;
  #measuring: Promise<void> | undefined;
  #node: { at: number; value: Promise<NodeFilesystems> } | undefined;

  constructor(options: FilesystemUsagesOptions, deps: FilesystemUsagesDeps, lifetime: AbortSignal) {
    this.#options = options;
    this.#deps = deps;
    this.#lifetime = lifetime;
  }

  /** The last count; an old one is counted again in the background. */
  of(uid: PodUid): PodFilesystems {
    if (this.#deps.clock.now() - this.#measuredAt >= this.#maxAgeMs) void this.measure();
    return this.#pods.get(uid) ?? nothing;
  }

  /** Counts now, or joins the count under way. */
  async measure(): Promise<void> {
    this.#measuring ??= this.#measureAll().finally(() => {
      this.#measuring = undefined;
    });
    await this.#measuring;
  }

  /** For who must not judge by what was true a while ago: counts all that pods have as it is now. */
  async measureNow(): Promise<void> {
    await this.#deps.countLayers?.();
    // What is under way may have begun before what is asked about.
    await this.#measuring;
    await this.measure();
  }

  async node(maxAgeMs = 1000): Promise<NodeFilesystems> {
    const now = this.#deps.clock.now();
    if (!this.#node || now - this.#node.at >= maxAgeMs) {
      const value = this.#measureNode();
      this.#node = { at: now, value };
      value.catch(() => {
        this.#node = undefined;
      });
    }
    return await this.#node.value;
  }

  get #maxAgeMs(): number {
    return this.#options.maxAgeMs ?? usualMaxAgeMs;
  }

  async #measureAll(): Promise<void> {
    const { clock, log } = this.#deps;
    try {
      const layers = await this.#writableLayers();
      const pods = new Map<PodUid, PodFilesystems>();
      // One pod after another: this must not take the disk from the pods it counts.
      for (const pod of this.#deps.pods()) {
        const counted = await this.#tryPod(pod, layers);
        if (counted) pods.set(pod.uid, counted);
      }
      this.#pods = pods;
    } catch (err) {
      if (!this.#lifetime.aborted) log.warn({ err: errorText(err) }, 'disk usage of pods could not be counted');
    }
    this.#measuredAt = clock.now();
  }

  async #writableLayers(): Promise<ReadonlyMap<string, Taken>> {
    const { stats = [] } = await this.#deps.runtime.listContainerStats({}, this.#lifetime);
    const at = this.#deps.clock.now();
    return new Map(
      stats.flatMap(({ attributes, writableLayer }) =>
        attributes?.id === undefined || !writableLayer
          ? []
          : [
              [
                attributes.id,
                {
                  at,
                  usedBytes: writableLayer.usedBytes?.value ?? 0,
                  inodesUsed: writableLayer.inodesUsed?.value ?? 0,
                },
              ] as const,
            ],
      ),
    );
  }

  /** A pod that goes in the middle, or a driver that does not answer, keeps nobody else's count back. */
  async #tryPod(pod: MonitoredPod, layers: ReadonlyMap<string, Taken>): Promise<PodFilesystems | undefined> {
    try {
      return await this.#measurePod(pod, layers);
    } catch (err) {
      this.#lifetime.throwIfAborted();
      this.#deps.log.debug({ podUid: pod.uid, err: errorText(err) }, 'disk usage of a pod could not be counted');
      return this.#pods.get(pod.uid);
    }
  }

  async #measurePod(pod: MonitoredPod, layers: ReadonlyMap<string, Taken>): Promise<PodFilesystems> {
    const rootfs = new Map<string, Taken>();
    const logs = new Map<string, Taken>();
    for (const { name, id, logPath } of pod.containers) {
      const layer = layers.get(id);
      if (layer) rootfs.set(name, layer);
      if (logPath !== '') logs.set(name, await logsTaken(logPath, this.#deps.clock.now()));
    }
    return { rootfs, logs, volumes: await this.#deps.volumes(pod.uid, this.#lifetime) };
  }

  async #measureNode(): Promise<NodeFilesystems> {
    const at = this.#deps.clock.now();
    const { images, containers, taken } = await this.#deps.imageFilesystems(this.#lifetime);
    const nodefs = await filesystem(this.#options.rootDir, this.#devices, at);
    const imagefs = images === undefined ? undefined : await filesystem(images, this.#devices, at);
    const containerfs = containers === undefined ? undefined : await filesystem(containers, this.#devices, at);
    const deviceOf = async (path: string): Promise<number> => (await stat(path)).dev;
    const node = await deviceOf(this.#options.rootDir);
    const apart = images !== undefined && (await deviceOf(images)) !== node;
    const split = apart && containers !== undefined && (await deviceOf(containers)) === node;
    return { nodefs, imagefs, containerfs, runtime: taken, layout: !apart ? 'one' : split ? 'split' : 'imagefs' };
  }
}

/** The container's whole log folder: what was rotated and what earlier instances left counts as well. */
async function logsTaken(logPath: string, at: number): Promise<Taken> {
  const folder = dirname(logPath);
  let usedBytes = 0;
  let inodesUsed = 0;
  try {
    for (const name of await readdir(folder)) {
      usedBytes += (await stat(join(folder, name))).blocks * blockBytes;
      inodesUsed++;
    }
  } catch (err) {
    // A rotation renames files meanwhile; the next count has them.
    if (errnoOf(err) !== 'ENOENT') throw err;
  }
  return { at, usedBytes, inodesUsed };
}

export async function filesystem(path: string, devices: BlockDevices, at: number): Promise<FilesystemUsage> {
  const [{ bsize, blocks, bfree, bavail, files, ffree }, { dev }] = await Promise.all([statfs(path), stat(path)]);
  return {
    at,
    device: devices.name(deviceNumbers(dev)),
    capacityBytes: blocks * bsize,
    availableBytes: bavail * bsize,
    usedBytes: (blocks - bfree) * bsize,
    inodes: files,
    inodesFree: ffree,
    inodesUsed: files - ffree,
  };
}
