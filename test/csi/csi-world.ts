import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallOutcome, CallRecorder, PluginCall } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { CsiDrivers, PluginWatcher, type CsiDriversOptions } from '../../csi/index.js';
import { hostProgram, tryHostProgram } from '../support/host-program.js';

export interface RecordedCall {
  readonly call: PluginCall;
  outcome: CallOutcome | undefined;
}

/** A kubelet's folder, a plugin watcher and the CSI drivers that register there. Fails when a mount or loop device stays. */
export class CsiWorld implements AsyncDisposable {
  readonly root: string;
  readonly calls: RecordedCall[] = [];
  readonly drivers: CsiDrivers;
  readonly watcher: PluginWatcher;

  private constructor(root: string, options: CsiDriversOptions) {
    this.root = root;
    const recorder: CallRecorder = {
      begin: (call) => {
        const entry: RecordedCall = { call, outcome: undefined };
        this.calls.push(entry);
        return (outcome) => {
          entry.outcome = outcome;
        };
      },
    };
    const deps = { recorder, clock: systemClock, log: silentLogger };
    this.drivers = new CsiDrivers(options, deps);
    this.watcher = new PluginWatcher(
      { folder: this.registry, retry: { firstMs: 100, longestMs: 1000 } },
      { ...deps, handlers: { CSIPlugin: this.drivers.handler } },
    );
  }

  static async open(options: CsiDriversOptions = {}): Promise<CsiWorld> {
    const world = new CsiWorld(await mkdtemp(join(tmpdir(), 'berth-csi-')), options);
    await world.watcher.start();
    return world;
  }

  get registry(): string {
    return join(this.root, 'plugins_registry');
  }

  /** What the recorder saw of one verb, in order. */
  verbs(): string[] {
    return this.calls.map(({ call }) => call.verb);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.watcher[Symbol.asyncDispose]();
    this.drivers[Symbol.dispose]();
    await removeWithoutLeaks(this.root);
  }
}

/** Mount points below a folder. */
export async function mountsUnder(folder: string): Promise<string[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  return table
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .filter((path) => path.startsWith(`${folder}/`));
}

/**
 * Loop devices whose file lies below a folder, as `NAME FILE`. One that was told to go, and that nothing is mounted from any more, belongs to
 * whoever still has it open: a container that started at that moment, with a copy of the mount in its namespace.
 */
export async function loopsUnder(folder: string): Promise<string[]> {
  const table = await hostProgram(['losetup', '--noheadings', '--output', 'NAME,AUTOCLEAR,BACK-FILE']);
  const mounted = await readFile('/proc/self/mountinfo', 'utf8');
  return table.split('\n').flatMap((line) => {
    const [, name = '', goes, file = ''] = /^(\S+)\s+(\d)\s+(.*)$/.exec(line.trim()) ?? [];
    if (!file.includes(`${folder}/`)) return [];
    return goes === '1' && !mounted.includes(` ${name} `) ? [] : [`${name} ${file}`];
  });
}

/** Fails when a mount or loop device of a test is still there, after taking it away for the tests to come. */
export async function removeWithoutLeaks(folder: string): Promise<void> {
  const mounts = await mountsUnder(folder);
  const loops = await loopsUnder(folder);
  for (const path of mounts.toReversed()) await hostProgram(['umount', '-l', path]);
  for (const loop of loops) await tryHostProgram(['losetup', '--detach', loop.split(' ')[0] ?? '']);
  await rm(folder, { recursive: true });
  if (mounts.length + loops.length > 0) throw new Error(`left behind:\n${[...mounts, ...loops].join('\n')}`);
}
