/** One image as garbage collection sees it. Times are milliseconds since the epoch. */
export interface ImageFact {
  readonly id: string;
  /** Tags, then digests. */
  readonly names: readonly string[];
  readonly sizeBytes: number;
  /** What its removal gives back; smaller than its size where it shares layers. */
  readonly freesBytes: number;
  readonly pinned: boolean;
  /** Came from an archive: nobody could pull it again. */
  readonly imported: boolean;
  readonly firstSeen: number;
  readonly lastUsed: number;
}

export interface ImagePolicy {
  /** Percent of the image filesystem from which images go; 100 turns it off. */
  readonly highPercent: number;
  /** Percent down to which they go. */
  readonly lowPercent: number;
  readonly minAgeMs: number;
  /** Images unused this long go whatever the disk has left; 0 for never. */
  readonly maxAgeMs: number;
}

export const defaultImagePolicy: ImagePolicy = { highPercent: 85, lowPercent: 80, minAgeMs: 120_000, maxAgeMs: 0 };

/** By image id or any name of it: who uses it, in words ("container app of pod default/web"). */
export type ImageUsers = ReadonlyMap<string, string>;

export interface ImageFilesystem {
  readonly capacityBytes: number;
  readonly availableBytes: number;
}

export type ImageStays =
  | { readonly why: 'in-use'; readonly by: string }
  | { readonly why: 'pinned' }
  | { readonly why: 'imported' }
  | { readonly why: 'too-young'; readonly untilMs: number }
  | { readonly why: 'enough-space'; readonly usedPercent: number; readonly highPercent: number };

/** What keeps the image whatever the disk has left; undefined when it may go. */
export function imageHold(
  image: ImageFact,
  users: ImageUsers,
  policy: ImagePolicy,
  now: number,
): ImageStays | undefined {
  const by = [image.id, ...image.names].map((name) => users.get(name)).find((user) => user !== undefined);
  if (by !== undefined) return { why: 'in-use', by };
  if (image.pinned) return { why: 'pinned' };
  if (image.imported) return { why: 'imported' };
  const untilMs = image.firstSeen + policy.minAgeMs;
  return now < untilMs ? { why: 'too-young', untilMs } : undefined;
}

/** Why `berth images` still shows it; undefined when the next collection takes it. */
export function whyImageStays(
  image: ImageFact,
  users: ImageUsers,
  filesystem: ImageFilesystem,
  policy: ImagePolicy,
  now: number,
): ImageStays | undefined {
  const hold = imageHold(image, users, policy, now);
  if (hold) return hold;
  const usedPercent = usedPercentOf(filesystem);
  if (tooOld(image, policy, now) || (policy.highPercent < 100 && usedPercent >= policy.highPercent)) return undefined;
  return { why: 'enough-space', usedPercent, highPercent: policy.highPercent };
}

export function stayText(stays: ImageStays, now: number): string {
  switch (stays.why) {
    case 'in-use':
      return `used by ${stays.by}`;
    case 'pinned':
      return 'pinned';
    case 'imported':
      return 'imported from an archive, nobody could pull it again';
    case 'too-young':
      return `came less than the minimum age ago, may go in ${Math.ceil((stays.untilMs - now) / 1000)} s`;
    case 'enough-space':
      return `image filesystem is ${stays.usedPercent}% full, images go from ${stays.highPercent}%`;
  }
}

export interface ImageRemoval {
  readonly image: ImageFact;
  readonly why: string;
  /** In the kubelet's word for its metric. */
  readonly cause: 'age' | 'space';
}

export interface ImageRemovalPlan {
  /** In the order they go. */
  readonly remove: readonly ImageRemoval[];
  readonly wantedBytes: number;
  /** What the removals give back. */
  readonly freedBytes: number;
}

const tooOld = (image: ImageFact, policy: ImagePolicy, now: number): boolean =>
  policy.maxAgeMs > 0 && now - image.lastUsed > policy.maxAgeMs;

export function usedPercentOf({ capacityBytes, availableBytes }: ImageFilesystem): number {
  if (capacityBytes <= 0) return 0;
  return 100 - Math.floor((Math.min(availableBytes, capacityBytes) * 100) / capacityBytes);
}

/** Which images go now (facts 11.6): those too old, then the ones used longest ago until the low mark is reached. */
export function planImageRemoval(
  images: readonly ImageFact[],
  users: ImageUsers,
  filesystem: ImageFilesystem,
  policy: ImagePolicy,
  now: number,
): ImageRemovalPlan {
  const free = images.filter((image) => imageHold(image, users, policy, now) === undefined).sort(oldestUseFirst);
  const old = free.filter((image) => tooOld(image, policy, now));
  const remove = old.map((image): ImageRemoval => {
    return { image, cause: 'age', why: `not used for more than ${Math.floor(policy.maxAgeMs / 1000)} s` };
  });
  const freedByAge = sum(old);
  const usedPercent = usedPercentOf(filesystem);
  if (policy.highPercent >= 100 || usedPercent < policy.highPercent)
    return { remove, wantedBytes: 0, freedBytes: freedByAge };
  const low = Math.floor((filesystem.capacityBytes * (100 - policy.lowPercent)) / 100);
  const wantedBytes = Math.max(low - filesystem.availableBytes, 0);
  const rest = free.filter((image) => !tooOld(image, policy, now));
  const chosen = takeUntil(rest, wantedBytes - freedByAge);
  const why = `image filesystem is ${usedPercent}% full (images go from ${policy.highPercent}% down to ${policy.lowPercent}%)`;
  return {
    remove: [...remove, ...chosen.map((image): ImageRemoval => ({ image, cause: 'space', why }))],
    wantedBytes,
    freedBytes: freedByAge + sum(chosen),
  };
}

/** Everything that may go, for a node under disk pressure. */
export function planUnusedImages(
  images: readonly ImageFact[],
  users: ImageUsers,
  policy: ImagePolicy,
  now: number,
): readonly ImageRemoval[] {
  return images
    .filter((image) => imageHold(image, users, { ...policy, minAgeMs: 0 }, now) === undefined)
    .sort(oldestUseFirst)
    .map((image) => ({ image, cause: 'space', why: 'the node is short of disk space' }));
}

const oldestUseFirst = (a: ImageFact, b: ImageFact): number => a.lastUsed - b.lastUsed || a.firstSeen - b.firstSeen;

function takeUntil(images: readonly ImageFact[], bytes: number): ImageFact[] {
  const taken: ImageFact[] = [];
  let left = bytes;
  for (const image of images) {
    if (left <= 0) break;
    taken.push(image);
    left -= image.freesBytes;
  }
  return taken;
}

const sum = (images: readonly ImageFact[]): number => images.reduce((total, image) => total + image.freesBytes, 0);
