import { describeEnd, programSucceeded } from '../../../base/run-program.js';
import { linkSignal, orAbort } from '../../../base/signals.js';
import type { RuntimeContext } from '../context.js';
import { programEnv } from '../host/oci-program.js';

export interface LayerUsage {
  readonly atMs: number;
  readonly bytes: number;
  readonly inodes: number;
}

const maxAgeMs = 30_000;
const firstLookMs = 2000;

/**
 * Space the containers' writable layers take. Walking them is slow, so it happens behind the reader: asking gives what was last found
 * and begins a new walk over all of them when that is old. Nobody asking, nothing is walked.
 */
export class WritableLayers {
  readonly #context: RuntimeContext;
  #usage: ReadonlyMap<string, LayerUsage> = new Map();
  #walkedAtMs = 0;
  #walking: Promise<void> | undefined;

  constructor(context: RuntimeContext) {
    this.#context = context;
  }

  usage(id: string): LayerUsage | undefined {
    const isOld = this.#context.deps.clock.now() - this.#walkedAtMs >= maxAgeMs || !this.#usage.has(id);
    if (isOld) void this.#walkBehind();
    return this.#usage.get(id);
  }

  /** Waits, for a while, until each of them has been counted once. */
  async lookAtNew(ids: readonly string[]): Promise<void> {
    const isNew = (): boolean => ids.some((id) => !this.#usage.has(id));
    if (!isNew()) return;
    using limit = linkSignal(this.#context.lifetime, { timeoutMs: firstLookMs, what: 'the size of new layers' });
    try {
      // One that is under way may have begun before they were there.
      await orAbort(this.#walking ?? Promise.resolve(), limit.signal);
      if (isNew()) await orAbort(this.#walkBehind(), limit.signal);
    } catch {
      // The walk goes on; whoever asks next has it.
    }
  }

  /** Counts them all as they are now. */
  async count(): Promise<void> {
    // One that is under way may have passed a layer that was written to since.
    await this.#walking;
    await this.#walkBehind();
  }

  #walkBehind(): Promise<void> {
    const { deps, lifetime } = this.#context;
    if (lifetime.aborted) return Promise.resolve();
    this.#walking ??= this.#walk()
      .catch((err: unknown) => {
        if (!lifetime.aborted) deps.log.warn({ err }, 'disk usage of containers not read, kept as it was');
      })
      .finally(() => {
        this.#walking = undefined;
        this.#walkedAtMs = deps.clock.now();
      });
    return this.#walking;
  }

  async #walk(): Promise<void> {
    const { containers, layout, deps } = this.#context;
    const folders = new Map<string, string>();
    for (const entry of containers.values()) {
      if (entry.phase.kind !== 'creating') folders.set(`${layout.container(entry.id)}/upper`, entry.id);
    }
    if (folders.size === 0) return;
    const bytes = await this.#du(['--block-size=1'], [...folders.keys()]);
    const inodes = await this.#du(['--inodes'], [...folders.keys()]);
    const atMs = deps.clock.now();
    const usage = new Map<string, LayerUsage>();
    for (const [folder, id] of folders) {
      const size = bytes.get(folder);
      if (size !== undefined) usage.set(id, { atMs, bytes: size, inodes: inodes.get(folder) ?? 0 });
    }
    this.#usage = usage;
  }

  async #du(options: readonly string[], folders: readonly string[]): Promise<Map<string, number>> {
    const result = await this.#context.deps.run(
      {
        argv: ['du', '--summarize', '--one-file-system', ...options, '--', ...folders],
        env: programEnv,
        timeoutMs: 300_000,
        maxOutputBytes: 4 * 1024 * 1024,
      },
      this.#context.lifetime,
    );
    // A file that goes while it is counted makes du fail in the end; what it printed is good.
    if (!programSucceeded(result) && result.end.kind !== 'exited') throw new Error(`du ${describeEnd(result)}`);
    const found = new Map<string, number>();
    for (const line of result.stdout.toString('utf8').split('\n')) {
      const at = line.indexOf('\t');
      if (at > 0) found.set(line.slice(at + 1), Number(line.slice(0, at)));
    }
    return found;
  }
}
