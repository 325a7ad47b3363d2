import { mkdir, open, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { errnoOf } from '../../../base/errors.js';
import { VolumeProblem } from '../volume-error.js';
import type { PodVolume, PublishRequest, PublishedVolume, VolumePlugin } from '../volume-plugin.js';

/** A path of the host as it is; nothing is mounted, owned or removed. */
export class HostPathPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/host-path';
  readonly hasFolder = false;
  readonly deletesContent = false;
  readonly keepsLabels = true;

  supports(origin: PodVolume['origin']): boolean {
    return sourceOf(origin) !== undefined;
  }

  async publish({ volume }: PublishRequest): Promise<PublishedVolume> {
    const source = sourceOf(volume.origin);
    if (!source) throw new VolumeProblem('unsupported', 'not a hostPath volume');
    if (source.path.split('/').includes('..'))
      throw new VolumeProblem('refused', `invalid HostPath \`${source.path}\`: must not contain '..'`);
    await checkType(source.path, source.type ?? '');
    return { hostPath: source.path, readOnly: volume.readOnly };
  }
}

function sourceOf(origin: PodVolume['origin']): { path: string; type?: string | undefined } | undefined {
  return origin.kind === 'inline' ? origin.volume.hostPath : origin.persistentVolume.spec?.hostPath;
}

type Check = { readonly words: string; readonly holds: (info: Stats) => boolean };

const checks: Readonly<Record<string, Check>> = {
  Directory: { words: 'a directory', holds: (info) => info.isDirectory() },
  File: { words: 'a file', holds: (info) => info.isFile() },
  Socket: { words: 'a socket file', holds: (info) => info.isSocket() },
  CharDevice: { words: 'a character device', holds: (info) => info.isCharacterDevice() },
  BlockDevice: { words: 'a block device', holds: (info) => info.isBlockDevice() },
};

async function checkType(path: string, type: string): Promise<void> {
  if (type === '') return;
  const check = checks[type.replace(/OrCreate$/, '')];
  const known = check && (!type.endsWith('OrCreate') || type === 'DirectoryOrCreate' || type === 'FileOrCreate');
  if (!known) throw new VolumeProblem('refused', `${type} is an invalid volume type`);
  let info = await statIfPresent(path);
  if (!info && type.endsWith('OrCreate')) {
    if (type === 'DirectoryOrCreate') await mkdir(path, { recursive: true, mode: 0o755 });
    else await makeFile(path);
    info = await statIfPresent(path);
  }
  if (!info || !check.holds(info))
    throw new VolumeProblem('refused', `hostPath type check failed: ${path} is not ${check.words}`);
}

async function makeFile(path: string): Promise<void> {
  const file = await open(path, 'a', 0o644);
  await file.close();
}

/** Links are the host's own here and are followed. */
async function statIfPresent(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw err;
  }
}
