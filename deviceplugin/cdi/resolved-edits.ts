import { lstat } from 'node:fs/promises';
import { errnoOf } from '../../base/errors.js';
import { major, minor } from '../device-number.js';
import { CdiError } from './cdi-error.js';
import type { CdiDeviceNode, ContainerEdits } from './cdi-spec.js';

/** A device node of which all is known that a container needs. */
export interface ResolvedDeviceNode {
  readonly path: string;
  readonly type: 'b' | 'c' | 'p';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number | undefined;
  /** For the device cgroup: some of r, w, m; empty for none. */
  readonly access: string;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** Edits ready to be applied: of all requested devices and their files, in order, with the host's facts filled in. */
export interface ResolvedEdits {
  readonly env: readonly string[];
  readonly deviceNodes: readonly ResolvedDeviceNode[];
  readonly netDevices: NonNullable<ContainerEdits['netDevices']>;
  readonly hooks: NonNullable<ContainerEdits['hooks']>;
  readonly mounts: NonNullable<ContainerEdits['mounts']>;
  /** The last one wins. */
  readonly intelRdt: NonNullable<ContainerEdits['intelRdt']> | undefined;
  readonly additionalGids: readonly number[];
}

/** What a device node on the host is; undefined when there is none. */
export type StatDevice = (path: string) => Promise<HostNode | undefined>;

export interface HostNode {
  readonly type: 'b' | 'c' | 'p';
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
}

/** Merges edits in order and asks the host for what device nodes leave open. Rejects with `CdiError`. */
export async function resolveEdits(
  edits: readonly ContainerEdits[],
  stat: StatDevice = statDevice,
): Promise<ResolvedEdits> {
  const nodes = edits.flatMap((edit) => edit.deviceNodes ?? []);
  return {
    env: edits.flatMap((edit) => edit.env ?? []),
    deviceNodes: await Promise.all(nodes.map((node) => resolveNode(node, stat))),
    netDevices: edits.flatMap((edit) => edit.netDevices ?? []),
    hooks: edits.flatMap((edit) => edit.hooks ?? []),
    mounts: edits.flatMap((edit) => edit.mounts ?? []),
    intelRdt: edits.findLast((edit) => edit.intelRdt != null)?.intelRdt ?? undefined,
    additionalGids: edits.flatMap((edit) => edit.additionalGids ?? []).filter((gid) => gid !== 0),
  };
}

async function resolveNode(node: CdiDeviceNode, stat: StatDevice): Promise<ResolvedDeviceNode> {
  const hostPath = node.hostPath === undefined || node.hostPath === '' ? node.path : node.hostPath;
  // "u", an unbuffered character device, is a character device on Linux.
  const type = node.type === 'u' ? 'c' : (node.type ?? '');
  const { major = 0 } = node;
  const described = type !== '' && (major !== 0 || type === 'p');
  const found = await stat(hostPath);
  const common = {
    path: node.path,
    fileMode: node.fileMode ?? found?.mode,
    access: node.permissions === 'none' ? '' : (node.permissions ?? '') || 'rwm',
    uid: node.uid,
    gid: node.gid,
  };
  if (described) return { ...common, type, major, minor: node.minor ?? 0 };
  if (found === undefined) {
    throw new CdiError(`find the device node ${hostPath}: it is not on this host`, {
      code: 'bad-device-node',
      path: hostPath,
    });
  }
  if (type !== '' && type !== found.type) {
    throw new CdiError(`use the device node ${hostPath}: it is of type ${found.type}, the CDI file says ${type}`, {
      code: 'bad-device-node',
      path: hostPath,
    });
  }
  return { ...common, type: found.type, major: found.major, minor: found.minor };
}

/** Links are not followed: a CDI file names the node itself. */
const statDevice: StatDevice = async (path) => {
  try {
    const node = await lstat(path);
    const type = node.isCharacterDevice() ? 'c' : node.isBlockDevice() ? 'b' : node.isFIFO() ? 'p' : undefined;
    if (type === undefined) return undefined;
    return { type, major: major(node.rdev), minor: minor(node.rdev), mode: node.mode & 0o7777 };
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'EACCES') return undefined;
    throw err;
  }
};
