import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { ControlPlaneError } from '../../controlplane/control-plane.js';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import { writePayload, type Payload } from '../atomic-writer.js';
import { makeNestedMountPoints, nestedMountPoints } from '../nested-mount-points.js';
import { VolumeProblem } from '../volume-error.js';
import type { PodVolume, PublishRequest, PublishedVolume } from '../volume-plugin.js';
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
  { volume, path, before }: PublishRequest,
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
    return { hostPath: path, readOnly: true, refreshAt: now + retryAfterMs, content: before?.content };
  }
  const published = { hostPath: path, readOnly: true, refreshAt: content.refreshAt };
  // Another volume of the pod changed: this one is not read again to be compared.
  const print = fingerprint(volume, content.payload);
  if (before?.content === print) return { ...published, content: print };
  await openToAnyone(path);
  await makeNestedMountPoints(volume, path, content.payload, signal);
  await writePayload(path, content.payload, { group: volume.fsGroup, now }, signal);
  return { ...published, content: print };
}

/** The same for what would be written the same. */
function fingerprint(volume: PodVolume, payload: Payload): string {
  const hash = createHash('sha256');
  const files = [...payload].map(([path, { data, mode, uid }]) => {
    hash.update(data);
    return [path, data.byteLength, mode, uid];
  });
  hash.update(JSON.stringify([files, volume.fsGroup, nestedMountPoints(volume.pod, volume.name)]));
  return hash.digest('base64');
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
