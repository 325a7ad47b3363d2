import { chmod, chown, mkdir, readlink } from 'node:fs/promises';
import { errnoOf } from '../../../base/errors.js';
import { VolumeProblem } from '../volume-error.js';
import { Pinned } from './pinned.js';

/** Links followed on one path, as in the kernel. */
const mostLinks = 40;

export interface ResolveOptions {
  /**
   * `refuse`: a link that leads out of the root is an error, an absolute one counts as inside when it names the root's own path.
   * `clamp`: the root is `/`, as in a chroot.
   */
  readonly escape: 'refuse' | 'clamp';
  /** Folders that are missing are made with the root's mode and owner. */
  readonly create?: boolean | undefined;
}

/**
 * Finds `path` inside `root` and returns it held by its inode. Each component is opened from the one before, never by a whole path, and
 * links are read and walked here: a container that swaps names meanwhile changes which file of the volume is found, never that it is one
 * of the volume. Undefined when there is none and `create` is not set.
 */
export async function resolveInside(root: string, path: string, options: ResolveOptions): Promise<Pinned | undefined> {
  const walk = await Walk.open(root, options);
  try {
    return await walk.to(path);
  } finally {
    await walk.close();
  }
}

class Walk {
  readonly #root: string;
  readonly #options: ResolveOptions;
  /** The folders from the root down to where the walk stands. */
  readonly #stack: Pinned[];
  #links = 0;

  private constructor(root: string, options: ResolveOptions, top: Pinned) {
    this.#root = root;
    this.#options = options;
    this.#stack = [top];
  }

  static async open(root: string, options: ResolveOptions): Promise<Walk> {
    return new Walk(root, options, await Pinned.open(root));
  }

  async to(path: string): Promise<Pinned | undefined> {
    const todo = components(path);
    while (true) {
      const name = todo.shift();
      if (name === undefined) return this.#take();
      if (name === '..') await this.#up();
      else {
        const links = await this.#down(name);
        if (links === 'missing') return undefined;
        todo.unshift(...links);
      }
    }
  }

  async close(): Promise<void> {
    for (const pinned of this.#stack.splice(0)) await pinned.close();
  }

  get #here(): Pinned {
    return this.#stack[this.#stack.length - 1] as Pinned;
  }

  #take(): Pinned {
    return this.#stack.pop() as Pinned;
  }

  async #up(): Promise<void> {
    if (this.#stack.length > 1) await this.#take().close();
    else if (this.#options.escape === 'refuse') throw outside();
  }

  /** One component further; returns the components of the link that stood there, or none. */
  async #down(name: string): Promise<string[] | 'missing'> {
    const child = await this.#open(name);
    if (!child) return 'missing';
    const info = await child.stat();
    if (!info.isSymbolicLink()) {
      this.#stack.push(child);
      return [];
    }
    await child.close();
    if (++this.#links > mostLinks) throw new VolumeProblem('refused', 'too many levels of symbolic links');
    const target = await readlink(this.#here.entry(name)).catch((err: unknown) => {
      throw new VolumeProblem('refused', 'the path changed while it was read', err);
    });
    return target.startsWith('/') ? await this.#fromTop(target) : components(target);
  }

  async #fromTop(target: string): Promise<string[]> {
    const { escape } = this.#options;
    const inside = target === this.#root || target.startsWith(`${this.#root}/`);
    if (escape === 'refuse' && !inside) throw outside();
    for (const pinned of this.#stack.splice(1)) await pinned.close();
    return components(escape === 'refuse' ? target.slice(this.#root.length) : target);
  }

  async #open(name: string): Promise<Pinned | undefined> {
    try {
      return await this.#here.child(name);
    } catch (err) {
      const errno = errnoOf(err);
      if (errno === 'ENOTDIR') throw new VolumeProblem('refused', 'a part of the path is not a folder', err);
      if (errno !== 'ENOENT') throw err;
      return this.#options.create ? await this.#make(name) : undefined;
    }
  }

  /** Through the held parent, so that it lands in the volume; whatever stands there afterwards is opened like any other name. */
  async #make(name: string): Promise<Pinned> {
    const like = await (this.#stack[0] ?? this.#here).stat();
    await mkdir(this.#here.entry(name), { mode: 0o700 }).catch((err: unknown) => {
      if (errnoOf(err) !== 'EEXIST') throw err;
    });
    const made = await this.#here.child(name);
    if (!(await made.stat()).isDirectory()) return made;
    // A server that maps root away refuses the owner; the folder is of use without it.
    await chown(made.path, like.uid, like.gid).catch(() => {});
    await chmod(made.path, like.mode & 0o7777);
    return made;
  }
}

const components = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.');

const outside = (): VolumeProblem => new VolumeProblem('refused', 'the path leads out of the volume');
