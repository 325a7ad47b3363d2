import { mkdirSync, rmdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import { mustRun } from '../host/oci-program.js';
import { pathInRoot } from '../host/path-in-root.js';
import { overlayArgv, shiftedLayer } from '../host/user-namespaces.js';
import type { StoredImage } from '../images/image-store.js';
import type { ResolvedMount } from '../oci-spec/mounts.js';
import type { ContainerEntry } from '../state/container-entry.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';

export interface MountPlan {
  readonly lines: readonly MountLine[];
  /** By index of the request: where an image volume's content is. */
  readonly imageRoots: ReadonlyMap<number, string>;
  /** The mounts of the request; an image volume says which image it is. */
  readonly mounts: readonly v1.Mount[];
}

export interface MountLine {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly options: string;
  /** Of an overlay, topmost first; `options` are without them. */
  readonly lowerDirs?: readonly string[] | undefined;
}

/** What must be mounted before the OCI runtime is called: the root, image volumes, and once per sandbox its /dev/shm. */
export function planMounts(
  context: RuntimeContext,
  entry: ContainerEntry,
  sandbox: SandboxEntry,
  image: StoredImage,
): MountPlan {
  const { layout, host } = context;
  const folder = layout.container(entry.id);
  const flags = host.overlayVolatile ? ',volatile' : '';
  const lines: MountLine[] = [
    {
      source: 'overlay',
      target: layout.rootfs(entry.id),
      type: 'overlay',
      options: `upperdir=${folder}/upper,workdir=${folder}/work${flags}`,
      lowerDirs: lowerDirs(context, image),
    },
  ];
  const imageRoots = new Map<number, string>();
  const mounts: v1.Mount[] = [];
  for (const [index, mount] of entry.record.mounts.entries()) {
    if (!mount.image?.image) {
      mounts.push(mount);
      continue;
    }
    const volume = context.deps.images.find(mount.image.image);
    if (volume === undefined) {
      throw criError('not-found', `create container: image ${mount.image.image} of a volume is not here`);
    }
    mounts.push({ ...mount, image: { ...mount.image, imageRef: volume.id } });
    const only = volume.lowerDirs.length === 1 ? volume.lowerDirs[0] : undefined;
    if (only !== undefined) {
      imageRoots.set(index, only);
      continue;
    }
    const target = `${layout.bundle(entry.id)}/image-volume-${index}`;
    imageRoots.set(index, target);
    lines.push({ source: 'overlay', target, type: 'overlay', options: '', lowerDirs: lowerDirs(context, volume) });
  }
  const root = sandbox.record.userNamespace?.hostId ?? 0;
  if (sandbox.record.ipc === 'POD' && !sandbox.shmMounted) {
    lines.push({
      source: 'shm',
      target: layout.shm(sandbox.id),
      type: 'tmpfs',
      options: `nosuid,noexec,nodev,mode=1777,uid=${root},gid=${root},size=${context.options.shmSizeBytes}`,
    });
  }
  return { lines, imageRoots, mounts };
}

function lowerDirs(context: RuntimeContext, image: StoredImage): readonly string[] {
  // An image without layers: overlayfs wants a lower folder all the same.
  return image.lowerDirs.length > 0 ? image.lowerDirs : [context.layout.emptyFolder];
}

/**
 * Everything below the bundle that is or, in a pod with a user namespace, for a moment will be a mount point: what has to be unmounted
 * when a crash came in between.
 */
export function mountPoints(context: RuntimeContext, id: string, plan: MountPlan, isMapped: boolean): string[] {
  const bundle = context.layout.bundle(id);
  const layers = isMapped ? plan.lines.flatMap((line) => line.lowerDirs ?? []) : [];
  return [
    ...plan.lines.map((line) => line.target).filter((target) => target.startsWith(`${bundle}/`)),
    ...layers.map((lowerDir, index) => `${bundle}/${shiftedLayer.name(index, lowerDir)}`),
  ];
}

/** Makes all of them with one program, or two: overlays whose layers are to show other ids are beyond mount(8). */
export async function mountAll(
  context: RuntimeContext,
  id: string,
  plan: MountPlan,
  userNamespace: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const line of plan.lines) mkdirSync(line.target, { recursive: true, mode: 0o755 });
  if (userNamespace === undefined) {
    await mountLines(context, id, plan.lines, signal);
    return;
  }
  const overlays = plan.lines.flatMap(({ target, options, lowerDirs }) =>
    lowerDirs === undefined ? [] : [{ target, options, lowerDirs }],
  );
  const argv = overlayArgv(userNamespace, context.layout.bundle(id), overlays);
  await mustRun(argv, 'mount container root', context.deps, signal);
  const others = plan.lines.filter((line) => line.lowerDirs === undefined);
  if (others.length > 0) await mountLines(context, id, others, signal);
}

async function mountLines(
  context: RuntimeContext,
  id: string,
  lines: readonly MountLine[],
  signal: AbortSignal,
): Promise<void> {
  const [only] = lines;
  if (only !== undefined && lines.length === 1) {
    await mustRun(
      ['mount', '-t', only.type, '-o', optionsOf(only), only.source, only.target],
      'mount container root',
      context.deps,
      signal,
    );
    return;
  }
  const table = `${context.layout.bundle(id)}/fstab`;
  writeFileSync(table, lines.map(fstabLine).join(''));
  await mustRun(['mount', '-a', '-T', table], 'mount container root', context.deps, signal);
  rmSync(table, { force: true });
}

function optionsOf({ lowerDirs, options }: MountLine): string {
  if (lowerDirs === undefined) return options;
  const lower = `lowerdir=${lowerDirs.join(':')}`;
  // Without a folder to write to the overlay is read-only; it has to be said.
  return options === '' ? `ro,${lower}` : `${lower},${options}`;
}

function fstabLine(line: MountLine): string {
  return `${[line.source, line.target, line.type, optionsOf(line)].map(fstabField).join(' ')} 0 0\n`;
}

/** fstab(5): white space and backslash in octal. */
function fstabField(text: string): string {
  return text.replaceAll(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/**
 * Unmounts every path that is a mount point, with one program; paths that are none, or are not there, are fine. Mounts that were
 * lost (a reboot) leave plain folders.
 */
export async function unmountAll(
  context: RuntimeContext,
  paths: readonly string[],
  what: string,
  signal: AbortSignal,
): Promise<void> {
  const mounted = paths.filter((path) => isMountPoint(path));
  if (mounted.length === 0) return;
  await mustRun(['umount', '--', ...mounted], what, context.deps, signal);
}

/** Whether another file system than its parent's is there. */
export function isMounted(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.dev !== statSync(dirname(path)).dev;
}

/**
 * The kernel refuses to remove a mount point with EBUSY, before it looks at anything else: asking it is cheaper than reading the mount
 * table, and removes what was only a place to mount on.
 */
function isMountPoint(path: string): boolean {
  try {
    rmdirSync(path);
    return false;
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOTDIR') return isMountedFile(path);
    if (errno === 'EBUSY') return true;
    if (errno === 'ENOENT' || errno === 'ENOTEMPTY') return false;
    throw err;
  }
}

function isMountedFile(path: string): boolean {
  try {
    unlinkSync(path);
    return false;
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT') return false;
    if (errno === 'EBUSY') return true;
    throw err;
  }
}

/** Turns the requested mounts into plain binds. */
export async function resolveMounts(
  mounts: readonly v1.Mount[],
  imageRoots: ReadonlyMap<number, string>,
  isMapped: (mount: v1.Mount, imageRoot: string | undefined) => boolean,
): Promise<ResolvedMount[]> {
  return await Promise.all(
    mounts.map(async (mount, index) => {
      const imageRoot = imageRoots.get(index);
      const hostPath =
        imageRoot === undefined ? (mount.hostPath ?? '') : await imagePath(imageRoot, mount.imageSubPath ?? '');
      if (imageRoot === undefined) await makeIfMissing(hostPath);
      return {
        containerPath: mount.containerPath ?? '',
        hostPath,
        readonly: imageRoot !== undefined || (mount.readonly ?? false),
        recursiveReadOnly: mount.recursiveReadOnly ?? false,
        propagation: mount.propagation ?? 'PROPAGATION_PRIVATE',
        mapped: isMapped(mount, imageRoot),
      };
    }),
  );
}

async function imagePath(root: string, subPath: string): Promise<string> {
  const path = await pathInRoot(root, subPath);
  try {
    await stat(path);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') {
      throw criError('invalid-argument', `create container: image volume has no path ${JSON.stringify(subPath)}`);
    }
    throw err;
  }
  return path;
}

/**
 * The API's comment wants an error of a host path that is not there. No runtime keeps to it (containerd and CRI-O make the folder), because
 * a hostPath volume of type "" relies on it: for that one the kubelet looks at nothing, and leaves the folder to the runtime.
 */
async function makeIfMissing(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (err) {
    if (errnoOf(err) !== 'ENOENT') throw criError('failed-precondition', `create container: mount source ${path}`, err);
    await mkdir(path, { recursive: true, mode: 0o755 });
  }
}
