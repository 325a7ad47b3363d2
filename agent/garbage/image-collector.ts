import { statfs } from 'node:fs/promises';
import type { Image } from '../../proto/generated/cri-v1.js';
import type { ImageService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { BerthError, errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { ObjectReference } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { CounterMetric, type Accumulator } from '../serving/metrics/accumulators.js';
import {
  imageHold,
  planImageRemoval,
  planUnusedImages,
  stayText,
  usedPercentOf,
  whyImageStays,
  type ImageFact,
  type ImageFilesystem,
  type ImagePolicy,
  type ImageRemoval,
  type ImageStays,
  type ImageUsers,
} from './image-policy.js';

/** What a runtime's own image store knows beyond CRI. */
export interface KnownImage {
  readonly id: string;
  readonly imported: boolean;
  readonly firstSeen: number;
  readonly lastUsed: number;
  readonly uniqueBytes: number;
}

export interface ImageCollectorDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly images: ImageService;
  readonly node: ObjectReference;
  /** Containers of any state, and pods that are about to start one. */
  users(signal: AbortSignal): Promise<ImageUsers>;
  /** Absent for a runtime that tells no more than CRI. */
  known?: (() => readonly KnownImage[]) | undefined;
}

export interface ImageVerdict {
  readonly image: ImageFact;
  /** Undefined: the next collection takes it. */
  readonly stays: ImageStays | undefined;
  readonly text: string;
}

export interface RemovedImages {
  readonly removed: readonly ImageRemoval[];
  readonly freedBytes: number;
}

export class ImageGarbageError extends BerthError<
  | { code: 'no-capacity'; mountpoint: string }
  /** All that may go has gone. */
  | { code: 'still-short'; wantedBytes: number; freedBytes: number }
> {}

const percent = 100;
const failuresBeforeEvent = 2;

/** Removes images nobody needs: over the disk's high mark, over their age, or all of them when the node is short of disk. */
export class ImageCollector {
  readonly #policy: ImagePolicy;
  readonly #deps: ImageCollectorDeps;
  readonly #startedAt: number;
  /** When images were first seen and last in use, for runtimes that do not tell. */
  readonly #seen = new Map<string, { firstSeen: number; lastUsed: number }>();
  readonly #collected = new CounterMetric(
    'kubelet_image_garbage_collected_total',
    'Total number of images garbage collected by the kubelet, whether through disk usage or image age.',
  );
  #failures = 0;

  constructor(policy: ImagePolicy, deps: ImageCollectorDeps) {
    this.#policy = policy;
    this.#deps = deps;
    this.#startedAt = deps.clock.now();
  }

  /** For metrics. */
  get counts(): readonly Accumulator[] {
    return [this.#collected];
  }

  /** Collects by age and by thresholds. */
  async collect(signal: AbortSignal): Promise<RemovedImages> {
    try {
      const result = await this.#collect(signal);
      this.#failures = 0;
      return result;
    } catch (err) {
      signal.throwIfAborted();
      if (++this.#failures >= failuresBeforeEvent)
        this.#deps.events.record(this.#deps.node, 'Warning', 'ImageGCFailed', errorText(err));
      throw err;
    }
  }

  /** Everything that may go, however young. */
  async removeUnused(signal: AbortSignal): Promise<RemovedImages> {
    const { images, users } = await this.#look(signal);
    return await this.#remove(planUnusedImages(images, users, this.#policy, this.#deps.clock.now()), signal);
  }

  /** What that would give back now. */
  async reclaimableBytes(signal: AbortSignal): Promise<number> {
    const { images, users } = await this.#look(signal);
    const removals = planUnusedImages(images, users, this.#policy, this.#deps.clock.now());
    return removals.reduce((sum, { image }) => sum + image.freesBytes, 0);
  }

  /** For `berth images`: each image with the reason it is still here. */
  async explain(signal: AbortSignal): Promise<readonly ImageVerdict[]> {
    const { images, users } = await this.#look(signal);
    const filesystem = await this.#filesystem(signal);
    const now = this.#deps.clock.now();
    return images.map((image): ImageVerdict => {
      const stays = filesystem
        ? whyImageStays(image, users, filesystem, this.#policy, now)
        : imageHold(image, users, this.#policy, now);
      return { image, stays, text: stays ? stayText(stays, now) : 'nothing keeps it' };
    });
  }

  async #collect(signal: AbortSignal): Promise<RemovedImages> {
    const { images, users } = await this.#look(signal);
    const filesystem = await this.#filesystem(signal);
    if (!filesystem) return { removed: [], freedBytes: 0 };
    const { clock, events, node } = this.#deps;
    const { mountpoint, capacityBytes } = filesystem;
    if (capacityBytes === 0) {
      events.record(node, 'Warning', 'InvalidDiskCapacity', 'invalid capacity 0 on image filesystem');
      const message = `collect images: the filesystem of ${mountpoint} has no capacity`;
      throw new ImageGarbageError(message, { code: 'no-capacity', mountpoint });
    }
    const now = clock.now();
    const { maxAgeMs } = this.#policy;
    // What was in use before this agent came is not known to it: ages count from its own start.
    const policy = maxAgeMs > 0 && now - this.#startedAt < maxAgeMs ? { ...this.#policy, maxAgeMs: 0 } : this.#policy;
    const plan = planImageRemoval(images, users, filesystem, policy, now);
    const result = await this.#remove(plan.remove, signal);
    const { freedBytes } = result;
    if (freedBytes < plan.wantedBytes) {
      const used = `${usedPercentOf(filesystem)}% of ${sizeText(capacityBytes)} used`;
      // In the kubelet's words.
      const message = `Insufficient free disk space on the node's image filesystem (${used}). Failed to free sufficient space by deleting unused images (freed ${freedBytes} bytes). Investigate disk usage, as it could be used by active images, logs, volumes, or other data.`;
      events.record(node, 'Warning', 'FreeDiskSpaceFailed', message);
      throw new ImageGarbageError(message, { code: 'still-short', wantedBytes: plan.wantedBytes, freedBytes });
    }
    return result;
  }

  async #look(signal: AbortSignal): Promise<{ images: ImageFact[]; users: ImageUsers }> {
    const { clock, images, known } = this.#deps;
    const [list, users] = await Promise.all([images.listImages({}, signal), this.#deps.users(signal)]);
    const now = clock.now();
    const told = new Map((known?.() ?? []).map((image) => [image.id, image]));
    const facts = (list.images ?? []).map((image) => this.#fact(image, told.get(image.id ?? ''), users, now));
    const present = new Set(facts.map(({ id }) => id));
    for (const id of this.#seen.keys()) if (!present.has(id)) this.#seen.delete(id);
    return { images: facts, users };
  }

  #fact(image: Image, told: KnownImage | undefined, users: ImageUsers, now: number): ImageFact {
    const id = image.id ?? '';
    const names = [...(image.repoTags ?? []), ...(image.repoDigests ?? [])];
    const seen = this.#seen.get(id) ?? { firstSeen: told?.firstSeen ?? now, lastUsed: told?.lastUsed ?? 0 };
    if ([id, ...names].some((name) => users.has(name))) seen.lastUsed = now;
    else if (told && told.lastUsed > seen.lastUsed) seen.lastUsed = told.lastUsed;
    this.#seen.set(id, seen);
    const sizeBytes = image.size ?? 0;
    return {
      id,
      names,
      sizeBytes,
      freesBytes: told?.uniqueBytes ?? sizeBytes,
      pinned: image.pinned ?? false,
      imported: told?.imported ?? false,
      ...seen,
    };
  }

  async #filesystem(signal: AbortSignal): Promise<(ImageFilesystem & { readonly mountpoint: string }) | undefined> {
    const { imageFilesystems } = await this.#deps.images.imageFsInfo({}, signal);
    const mountpoint = imageFilesystems?.[0]?.fsId?.mountpoint;
    if (mountpoint === undefined || mountpoint === '') return undefined;
    const { bsize, blocks, bavail } = await statfs(mountpoint);
    return { mountpoint, capacityBytes: blocks * bsize, availableBytes: bavail * bsize };
  }

  async #remove(removals: readonly ImageRemoval[], signal: AbortSignal): Promise<RemovedImages> {
    const { images, log } = this.#deps;
    const removed: ImageRemoval[] = [];
    let freedBytes = 0;
    for (const removal of removals) {
      const { image, why, cause } = removal;
      try {
        await images.removeImage({ image: { image: image.id } }, signal);
      } catch (err) {
        signal.throwIfAborted();
        log.warn({ image: image.names[0] ?? image.id, err: errorText(err) }, 'image could not be removed');
        continue;
      }
      removed.push(removal);
      this.#collected.add({ reason: cause });
      freedBytes += image.freesBytes;
      this.#seen.delete(image.id);
      log.info({ image: image.names[0] ?? image.id, imageId: image.id, why, bytes: image.freesBytes }, 'image removed');
    }
    return { removed, freedBytes };
  }
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1.5 GiB`, as a kubelet writes it in this event; sizes that people list are written as `crictl` does. */
function sizeText(bytes: number): string {
  const step = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return step === 0 ? `${bytes} B` : `${(bytes / 1024 ** step).toFixed(1)} ${units[step]}`;
}

/** True when the thresholds can be reached at all; for the configuration's checks. */
export function imagePolicyProblem({ highPercent, lowPercent }: ImagePolicy): string | undefined {
  if (highPercent < 0 || highPercent > percent)
    return `imageGCHighThresholdPercent ${highPercent} is not within 0 to 100`;
  if (lowPercent < 0 || lowPercent > percent) return `imageGCLowThresholdPercent ${lowPercent} is not within 0 to 100`;
  return lowPercent >= highPercent
    ? `imageGCLowThresholdPercent ${lowPercent} is not below imageGCHighThresholdPercent ${highPercent}`
    : undefined;
}
