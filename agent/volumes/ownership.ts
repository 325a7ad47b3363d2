import { chmod, chown, lstat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { Pod } from '../api/index.js';
import type { FaultPoint } from '../fault-point.js';
import { walkTree } from './fs/walk-tree.js';
import type { Pinned } from './fs/pinned.js';
import type { PodVolume } from './volume-plugin.js';

export interface OwnershipDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly at: FaultPoint;
  /** Warning event on the pod. */
  warn(pod: Pod, reason: string, message: string): void;
}

export interface OwnershipRequest {
  readonly volume: PodVolume;
  readonly path: string;
  readonly readOnly: boolean;
  readonly policy: 'Always' | 'OnRootMismatch';
}

const writes = 0o660;
const reads = 0o440;
const enters = 0o2110;
const firstReportMs = 30_000;
const nextReportMs = 60_000;

/** The mode a file or folder gets for its group. */
export function groupMode(mode: number, isFolder: boolean, readOnly: boolean): number {
  return (mode & 0o7777) | (readOnly ? reads : writes) | (isFolder ? enters : 0);
}

/** True when nothing below needs a look under `OnRootMismatch`. */
export function rootFits(info: Stats, group: number, readOnly: boolean): boolean {
  return info.isDirectory() && info.gid === group && groupMode(info.mode, true, readOnly) === (info.mode & 0o7777);
}

/**
 * Gives the volume to the pod's fsGroup (facts 5.4). The root comes last, so that its owner says that all is done. What cannot be changed
 * is logged and the rest goes on, as in the kubelet.
 */
export async function applyGroup(request: OwnershipRequest, deps: OwnershipDeps, signal: AbortSignal): Promise<void> {
  const { volume, path, readOnly, policy } = request;
  const group = volume.fsGroup;
  if (group === undefined) return;
  if (policy === 'OnRootMismatch' && rootFits(await lstat(path), group, readOnly)) return;
  await deps.at('before volume-ownership');
  const progress = new Progress(volume, deps);
  let refused = 0;
  const note = (name: string, reason: string): void => {
    if (refused++ === 0)
      deps.log.warn({ podUid: volume.uid, volume: volume.name, name, reason }, 'fsGroup not applied');
  };
  const visitor = {
    visit: async (entry: Pinned, info: Stats): Promise<void> => {
      progress.count();
      try {
        await changeGroup(entry, info, group, readOnly);
      } catch (err) {
        note(`inode ${info.ino}`, errorText(err));
      }
      await deps.at('amid volume-ownership');
    },
    skipped: note,
  };
  await walkTree(path, visitor, signal);
  await deps.at('after volume-ownership');
  if (refused > 1)
    deps.log.warn({ podUid: volume.uid, volume: volume.name, refused }, 'fsGroup not applied to some files');
}

/**
 * For a volume that was just mounted, by the pod's own policy; for one that an earlier run mounted, only where that run did not come to the
 * end of it.
 */
export async function giveToGroup(
  volume: PodVolume,
  path: string,
  wasMounted: boolean,
  deps: OwnershipDeps,
  signal: AbortSignal,
): Promise<void> {
  const asked = volume.pod.spec?.securityContext?.fsGroupChangePolicy ?? 'Always';
  await applyGroup({ volume, path, readOnly: false, policy: wasMounted ? 'OnRootMismatch' : asked }, deps, signal);
}

/** By inode: a link is changed itself, and a file that another pod swaps for a link meanwhile is not followed. */
async function changeGroup(entry: Pinned, info: Stats, group: number, readOnly: boolean): Promise<void> {
  if (info.gid !== group) await chown(entry.path, info.uid, group);
  if (info.isSymbolicLink()) return;
  const mode = groupMode(info.mode, info.isDirectory(), readOnly);
  // A change of group clears setuid and setgid: then the mode is written in any case.
  if (mode !== (info.mode & 0o7777) || info.gid !== group) await chmod(entry.path, mode);
}

class Progress {
  readonly #volume: PodVolume;
  readonly #deps: OwnershipDeps;
  #files = 0;
  #nextReport: number;
  #reported = false;

  constructor(volume: PodVolume, deps: OwnershipDeps) {
    this.#volume = volume;
    this.#deps = deps;
    this.#nextReport = deps.clock.now() + firstReportMs;
  }

  count(): void {
    this.#files++;
    if (this.#files % 256 !== 0 || this.#deps.clock.now() < this.#nextReport) return;
    this.#nextReport = this.#deps.clock.now() + nextReportMs;
    const { uid, pod, specName } = this.#volume;
    const where = `Setting volume ownership for ${uid}/volumes/${specName}`;
    const message = this.#reported
      ? `${where}, processed ${this.#files} files.`
      : `${where} is taking longer than expected, consider using OnRootMismatch - https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#configure-volume-permission-and-ownership-change-policy-for-pods`;
    this.#reported = true;
    this.#deps.warn(pod, 'VolumePermissionChangeInProgress', message);
  }
}
