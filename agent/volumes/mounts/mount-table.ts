import { readFile } from 'node:fs/promises';

export interface MountEntry {
  readonly id: number;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** Path inside the file system that is mounted. */
  readonly root: string;
  readonly mountPoint: string;
  readonly fsType: string;
  readonly source: string;
  readonly superOptions: string;
  /** What is mounted below it appears in its peers too, and the other way round (mount_namespaces(7)). */
  readonly shared: boolean;
  /** What is mounted below the one it was copied from appears in it too, and not the other way round. */
  readonly slave: boolean;
}

/** One line of `/proc/<pid>/mountinfo` (proc(5)). */
export function parseMountLine(line: string): MountEntry | undefined {
  const [left = '', right] = line.split(' - ');
  const [id, , device = '', root = '', mountPoint = '', , ...optional] = left.split(' ');
  if (right === undefined || mountPoint === '') return undefined;
  const [fsType = '', source = '', superOptions = ''] = right.split(' ');
  return {
    id: Number(id),
    device,
    root: unescape(root),
    mountPoint: unescape(mountPoint),
    fsType,
    source: unescape(source),
    superOptions,
    shared: optional.some((field) => field.startsWith('shared:')),
    slave: optional.some((field) => field.startsWith('master:')),
  };
}

/** The mount that a path without links lies on. */
export function mountHolding(mountInfo: string, path: string): MountEntry | undefined {
  let best: MountEntry | undefined;
  for (const line of mountInfo.split('\n')) {
    const entry = parseMountLine(line);
    if (!entry) continue;
    const { mountPoint } = entry;
    const holds = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
    // Of two at one place the later one covers the other.
    if (holds && mountPoint.length >= (best?.mountPoint.length ?? 0)) best = entry;
  }
  return best;
}

/** Mounts at `dir` or below it, those that must go first first. A point mounted over twice is there twice. */
export function mountsBelow(mountInfo: string, dir: string): MountEntry[] {
  // Most lines are other pods' mounts: they are not worth taking apart.
  const needle = escapePath(dir);
  return mountInfo
    .split('\n')
    .filter((line) => line.includes(needle))
    .map(parseMountLine)
    .filter((entry) => entry !== undefined)
    .filter(({ mountPoint }) => mountPoint === dir || mountPoint.startsWith(`${dir}/`))
    .map((entry, index) => ({ entry, index, depth: entry.mountPoint.split('/').length }))
    .sort((a, b) => b.depth - a.depth || b.index - a.index)
    .map(({ entry }) => entry);
}

export async function readMountInfo(): Promise<string> {
  return await readFile('/proc/self/mountinfo', 'utf8');
}

/** Octal escapes of the kernel and of fstab: space, tab, newline, backslash, `#`. */
export function escapePath(path: string): string {
  return path.replaceAll(/[ \t\n\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

function unescape(text: string): string {
  return text.includes('\\')
    ? text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    : text;
}
