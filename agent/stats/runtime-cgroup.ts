import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.js';
import type { CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import { readOwnCgroup } from './own-cgroup.js';

export interface RuntimeCgroupOptions {
  readonly hierarchy: CgroupHierarchy;
  /** The socket of a runtime that is another process. */
  readonly socketPath: string;
  readonly procDir?: string | undefined;
}

/** How long what was found holds: a runtime may be started anew, in another place. */
const holdsMs = 60_000;
/** After so many processes others have their turn. */
const atOnce = 20;
const listens = 0x10000;

/** Where the container runtime is accounted, which only the kernel knows: the cgroup of whoever listens on its socket. */
export class RuntimeCgroup {
  readonly #options: RuntimeCgroupOptions;
  readonly #clock: Clock;
  #found: { readonly pid: string; readonly cgroup: string } | undefined;
  #looked = -Infinity;

  constructor(options: RuntimeCgroupOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** What is known now; what is not is looked for meanwhile. */
  current(): string | undefined {
    if (this.#clock.now() - this.#looked >= holdsMs) void this.look();
    return this.#found?.cgroup;
  }

  /** Never rejects: what cannot be found is not told. */
  async look(): Promise<void> {
    this.#looked = this.#clock.now();
    const { hierarchy, procDir = '/proc' } = this.#options;
    const cgroupOf = (pid: string): string | undefined => readOwnCgroup(hierarchy, `${procDir}/${pid}/cgroup`);
    const inodes = listeningInodes(this.#options.socketPath, procDir);
    // Most looks find what the last one found.
    const known = this.#found?.pid;
    const pid = known !== undefined && holdsOne(known, inodes, procDir) ? known : await holderOf(inodes, procDir);
    const cgroup = pid === undefined ? undefined : cgroupOf(pid);
    this.#found = pid === undefined || cgroup === undefined ? undefined : { pid, cgroup };
  }
}

/** As `/proc/<pid>/fd` names them. */
function listeningInodes(path: string, procDir: string): ReadonlySet<string> {
  // Told as it was bound, and one folder has two names.
  const names = new Set([path, path.replace(/^\/var\/run\//, '/run/'), path.replace(/^\/run\//, '/var/run/')]);
  const found = new Set<string>();
  for (const line of textOf(`${procDir}/net/unix`).split('\n')) {
    const [, , , flags = '', , , inode = '', ...rest] = line.trim().split(/\s+/);
    if (names.has(rest.join(' ')) && (Number.parseInt(flags, 16) & listens) !== 0) found.add(`socket:[${inode}]`);
  }
  return found;
}

async function holderOf(inodes: ReadonlySet<string>, procDir: string): Promise<string | undefined> {
  if (inodes.size === 0) return undefined;
  let turn = 0;
  for (const pid of namesIn(procDir)) {
    // The first process holds the sockets of services that it starts on demand.
    if (!/^\d+$/.test(pid) || pid === '1') continue;
    if (++turn % atOnce === 0) await nextTurn();
    if (holdsOne(pid, inodes, procDir)) return pid;
  }
  return undefined;
}

function holdsOne(pid: string, inodes: ReadonlySet<string>, procDir: string): boolean {
  const folder = `${procDir}/${pid}/fd`;
  return namesIn(folder).some((fd) => inodes.has(linkOf(`${folder}/${fd}`)));
}

/** Processes and their files go while they are looked at. */
function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

const textOf = (path: string): string => orElse(() => readFileSync(path, 'utf8'), '');
const namesIn = (path: string): readonly string[] => orElse(() => readdirSync(path), []);
const linkOf = (path: string): string => orElse(() => readlinkSync(path), '');
