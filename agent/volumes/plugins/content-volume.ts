import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { ControlPlaneError } from '../../controlplane/control-plane.js';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import { writePayload, type Payload } from '../atomic-writer.js';
import { makeNestedMountPoints } from '../nested-mount-points.js';
import { VolumeProblem } from '../volume-error.js';
import type { PublishRequest, PublishedVolume } from '../volume-plugin.js';
import type { ContentSources } from '../payload/content-sources.js';
import { openToAnyone, type MemoryLimits } from './empty-dir.js';

export interface ContentVolumeDeps {
  readonly sources: ContentSources;
  readonly memory: MemoryLimits;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Content {
  readonly payload: Payload;
  readonly refreshAt?: number | undefined;
}

/** How soon to ask again when the control plane could not be asked and old content stays in place. */
const retryAfterMs = 10_000;

/**
 * Writes what `collect` finds into the volume. When the control plane cannot be asked now, content that is there already (from before a
 * restart, too) serves on: a pod does not stop because an API server does.
 */
export async function publishContent(
  { volume, path }: PublishRequest,
  collect: () => Promise<Content>,
  deps: ContentVolumeDeps,
  signal: AbortSignal,
): Promise<PublishedVolume> {
  const now = deps.clock.now();
  let content: Content;
  try {
    content = await collect();
  } catch (err) {
    if (!isUnavailable(err) || !(await hasContent(path))) throw err;
    deps.log.warn(
      { err, podUid: volume.uid, volume: volume.name, retryInMs: retryAfterMs },
      'volume content cannot be read anew and stays as it is',
    );
    return { hostPath: path, readOnly: true, refreshAt: now + retryAfterMs };
  }
  await openToAnyone(path);
  await makeNestedMountPoints(volume, path, content.payload, signal);
  await writePayload(path, content.payload, { group: volume.fsGroup, now }, signal);
  return { hostPath: path, readOnly: true, refreshAt: content.refreshAt };
}

function isUnavailable(err: unknown): boolean {
  if (err instanceof ControlPlaneError) return err.failure.code === 'unavailable';
  return err instanceof VolumeProblem && err.failure.code === 'unavailable';
}

async function hasContent(path: string): Promise<boolean> {
  try {
    return (await lstat(join(path, '..data'))).isSymbolicLink();
  } catch {
    return false;
  }
}
