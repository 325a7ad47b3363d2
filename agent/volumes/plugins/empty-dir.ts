import { chmod, lstat, mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import {
  aggregateContainerRequests,
  compareQuantities,
  isPodLimited,
  podLimits,
  podRequests,
  quantityValue,
  type Pod,
  type Quantity,
} from '../../api/index.js';
import { applyGroup, type OwnershipDeps } from '../ownership.js';
import { VolumeProblem } from '../volume-error.js';
import type { VolumePaths } from '../volume-paths.js';
import type { MemoryMount, PodVolume, PublishRequest, PublishedVolume, VolumePlugin } from '../volume-plugin.js';

export interface MemoryLimits {
  allocatable(): Readonly<Record<string, Quantity>>;
  /** The kernel can keep a tmpfs out of swap. */
  readonly noSwap: boolean;
}

export interface EmptyDirDeps extends OwnershipDeps {
  readonly paths: VolumePaths;
  readonly memory: MemoryLimits;
}

const pluginName = 'kubernetes.io/empty-dir';
const anyoneMode = 0o777;

/** A folder that lives as long as the pod: on disk, on a tmpfs of its own, or on huge pages. */
export class EmptyDirPlugin implements VolumePlugin {
  readonly name = pluginName;
  readonly hasFolder = true;
  readonly deletesContent = true;
  readonly #deps: EmptyDirDeps;

  constructor(deps: EmptyDirDeps) {
    this.#deps = deps;
  }

  supports({ volume }: PodVolume['origin']): boolean {
    return volume.emptyDir !== undefined;
  }

  memory({ pod, origin }: PodVolume): MemoryMount | undefined {
    const { medium = '', sizeLimit } = origin.volume.emptyDir ?? {};
    if (medium === '') return undefined;
    if (medium === 'Memory') return tmpfsFor(pod, sizeLimit, this.#deps.memory);
    if (medium === 'HugePages' || medium.startsWith('HugePages-'))
      return { fsType: 'hugetlbfs', options: [`pagesize=${hugePageSize(pod, medium)}`] };
    throw new VolumeProblem('refused', `unknown storage medium "${medium}"`);
  }

  async publish({ volume, path, before }: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    if (before) return before;
    const marker = this.#deps.paths.readyMarker(volume.uid, pluginName, volume.specName);
    if (!(await isReady(volume, path, marker))) {
      await openToAnyone(path);
      await applyGroup({ volume, path, readOnly: false, policy: 'Always' }, this.#deps, signal);
      await mkdir(dirname(marker), { recursive: true, mode: 0o750 });
      await writeFile(marker, '');
    }
    return { hostPath: path, readOnly: false };
  }
}

/** 0777; the root of a tmpfs keeps the kernel's 1777, as in the kubelet. */
export async function openToAnyone(path: string): Promise<void> {
  const { mode } = await lstat(path);
  if ((mode & anyoneMode) !== anyoneMode) await chmod(path, (mode & 0o7000) | anyoneMode);
}

/** Made completely once: its files and modes are the pod's own from then on. The marker outlives a reboot, what is in memory does not. */
async function isReady({ origin, fsGroup }: PodVolume, path: string, marker: string): Promise<boolean> {
  try {
    await lstat(marker);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return false;
    throw err;
  }
  const inMemory = (origin.volume.emptyDir?.medium ?? '') !== '';
  return !inMemory || fsGroup === undefined || (await lstat(path)).gid === fsGroup;
}

/** A tmpfs as large as the smallest of the volume's limit, the pod's memory limit and what the node gives to pods. */
export function tmpfsFor(pod: Pod, sizeLimit: Quantity | undefined, limits: MemoryLimits): MemoryMount {
  const podLimit = isPodLimited(pod, 'memory') ? podLimits(pod)['memory'] : undefined;
  const sizes = [sizeLimit, podLimit, limits.allocatable()['memory']]
    .filter((quantity) => quantity !== undefined)
    .map(quantityValue)
    .filter((bytes) => bytes > 0);
  const options = sizes.length > 0 ? [`size=${Math.min(...sizes)}`] : [];
  return { fsType: 'tmpfs', options: limits.noSwap ? [...options, 'noswap'] : options };
}

/** In bytes, for the mount option. */
function hugePageSize(pod: Pod, medium: string): number {
  const requests = { ...aggregateContainerRequests(pod), ...podRequests(pod) };
  const sizes = Object.keys(requests)
    .filter((name) => name.startsWith('hugepages-'))
    .map((name) => name.slice('hugepages-'.length));
  const wanted = medium.slice('HugePages-'.length);
  const fitting = medium === 'HugePages' ? sizes : sizes.filter((size) => compareQuantities(size, wanted) === 0);
  const [size] = fitting;
  if (size === undefined)
    throw new VolumeProblem(
      'refused',
      `medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`,
    );
  if (fitting.length > 1)
    throw new VolumeProblem(
      'refused',
      `medium: ${medium} can't be used if container requests multiple huge page sizes`,
    );
  return quantityValue(size);
}
