import { randomBytes } from 'node:crypto';
import { accessSync, constants, rmdirSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noRecorder } from '../../../base/call-recorder.js';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { runProgram } from '../../../base/run-program.js';
import {
  embeddedRuntimeDefaults,
  openEmbeddedRuntime,
  type EmbeddedRuntimeDeps,
  type EmbeddedRuntimeOptions,
  type OpenedRuntime,
  type StoredImage,
} from '../../../cri/embedded/index.js';
import type { RuntimeService, StreamingService, v1 } from '../../../cri/index.js';
import { tryHostProgram } from '../../support/host-program.js';
import { LeakCheck } from '../../support/leak-check.js';
import { busyboxImage, busyboxReference, imageLookup } from './busybox-image.js';
import { PodCalls } from '../contract/pod-calls.js';
import { StateKeepingNetwork } from '../state-keeping-network.js';

export interface WorldOptions {
  readonly options?: Partial<EmbeddedRuntimeOptions> | undefined;
  readonly deps?: Partial<EmbeddedRuntimeDeps> | undefined;
  readonly image?: Partial<StoredImage['config']> | undefined;
}

const hierarchies = [
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'systemd',
  'unified',
  'hugetlb',
];

/** Programs without which nothing here can be tested; the words for a skip, empty when all are there. */
export function missingComponents(): string {
  const needed = ['/usr/bin/crun', '/usr/bin/conmon', '/bin/busybox', '/usr/bin/socat', '/usr/bin/unshare'];
  const missing = needed.filter((path) => !isExecutable(path));
  if (process.getuid?.() !== 0) missing.push('root');
  return missing.length === 0 ? '' : `needs ${missing.join(', ')}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A runtime with folders, cgroups, image and network of its own. Disposing it removes all and looks for leaks. */
export class RuntimeWorld extends PodCalls implements AsyncDisposable {
  readonly folder: string;
  readonly image: StoredImage;
  readonly network: StateKeepingNetwork;
  readonly imageRef = busyboxReference;
  readonly cgroupParent: string;
  readonly logFolder: string;
  readonly #given: WorldOptions;
  readonly #leaks: LeakCheck;
  bootId = 'boot-1';
  #opened: OpenedRuntime | undefined;

  private constructor(folder: string, image: StoredImage, given: WorldOptions, leaks: LeakCheck) {
    super();
    this.folder = folder;
    this.image = image;
    this.network = new StateKeepingNetwork(join(folder, 'network'));
    this.cgroupParent = `/${folder.slice(folder.lastIndexOf('/') + 1)}`;
    this.logFolder = join(folder, 'logs');
    this.#given = given;
    this.#leaks = leaks;
  }

  static async open(given: WorldOptions = {}): Promise<RuntimeWorld> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-cri-'));
    const name = folder.slice(folder.lastIndexOf('/') + 1);
    const leaks = await LeakCheck.open({ tokens: [name], kinds: ['netns', 'mount', 'cgroup', 'process'] });
    const world = new RuntimeWorld(folder, await busyboxImage(folder, given.image), given, leaks);
    await mkdir(world.logFolder);
    await world.reopen();
    return world;
  }

  get options(): EmbeddedRuntimeOptions {
    return {
      ...embeddedRuntimeDefaults(),
      stateDir: join(this.folder, 'state'),
      runDir: join(this.folder, 'run'),
      ...this.#given.options,
    };
  }

  get runtime(): RuntimeService {
    if (this.#opened === undefined) throw new Error('the runtime is closed');
    return this.#opened.runtime;
  }

  get streaming(): StreamingService {
    if (this.#opened === undefined) throw new Error('the runtime is closed');
    return this.#opened.streaming;
  }

  async close(): Promise<void> {
    await this.#opened?.[Symbol.asyncDispose]();
    this.#opened = undefined;
  }

  /** As after a restart of the agent: a new runtime over the same folders. */
  async reopen(deps: Partial<EmbeddedRuntimeDeps> = {}): Promise<void> {
    await this.close();
    this.#opened = await openEmbeddedRuntime(
      this.options,
      {
        run: runProgram,
        recorder: noRecorder,
        log: silentLogger,
        clock: systemClock,
        images: imageLookup([this.image]),
        network: this.network,
        bootId: this.bootId,
        ...this.#given.deps,
        ...deps,
      },
      neverAborted(),
    );
  }

  async pid(containerId: string): Promise<number> {
    const { info } = await this.runtime.containerStatus({ containerId, verbose: true }, neverAborted());
    return (JSON.parse(info?.['info'] ?? '') as { pid: number }).pid;
  }

  async conmonPid(containerId: string): Promise<number> {
    return Number(await readFile(join(this.options.runDir, 'containers', containerId, 'conmon.pid'), 'utf8'));
  }

  async exec(containerId: string, ...cmd: string[]): Promise<string> {
    const result = await this.runtime.execSync({ containerId, cmd, timeout: 60 }, neverAborted());
    const text = new TextDecoder();
    if (result.exitCode !== 0) throw new Error(`${cmd.join(' ')}: ${result.exitCode} ${text.decode(result.stderr)}`);
    return text.decode(result.stdout).trim();
  }

  /** What a one-shot container printed, and its exit code. */
  async output(
    podSandboxId: string,
    name: string,
    command: readonly string[],
    overrides: Partial<v1.ContainerConfig> = {},
  ): Promise<{ text: string; exitCode: number | undefined }> {
    const id = await this.startContainer(podSandboxId, name, command, overrides);
    const { exitCode, logPath } = await this.exited(id);
    return { text: logText(await readFile(logPath ?? '', 'utf8')), exitCode };
  }

  async removeAll(): Promise<void> {
    const { items = [] } = await this.runtime.listPodSandbox({}, neverAborted());
    for (const { id = '' } of items) await this.removeSandbox(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    let failure: Error | undefined;
    try {
      if (this.#opened === undefined) await this.reopen();
      await this.removeAll();
      await this.close();
      removeCgroup(this.cgroupParent);
      const left = await this.network.attached();
      if (left.length > 0) throw new Error(`still attached: ${left.join(', ')}`);
      await this.#leaks[Symbol.asyncDispose]();
    } catch (err) {
      failure = err instanceof Error ? err : new Error(String(err));
      await this.#force();
    }
    await rm(this.folder, { recursive: true, force: true });
    if (failure !== undefined) throw failure;
  }

  /** After a failure: what would disturb the next test goes by force. */
  async #force(): Promise<void> {
    const bundles = join(this.options.runDir, 'containers');
    for (const id of await readdir(bundles).catch(() => [])) {
      for (const file of ['conmon.pid', 'pidfile']) {
        const pid = Number(await readFile(join(bundles, id, file), 'utf8').catch(() => '0'));
        // Only while it is still ours: the process names the container or lives in its cgroup.
        const words = pid > 0 ? await processWords(pid) : '';
        if (words.includes(id)) process.kill(pid, 'SIGKILL');
      }
    }
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((path) => path.startsWith(this.folder));
    for (const path of mounts.toReversed()) await tryHostProgram(['umount', '-l', path]);
  }
}

async function processWords(pid: number): Promise<string> {
  const read = async (file: string): Promise<string> => await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
  return `${await read('cmdline')} ${await read('cgroup')}`;
}

function removeCgroup(parent: string): void {
  for (const hierarchy of hierarchies) {
    try {
      rmdirSync(`/sys/fs/cgroup/${hierarchy}${parent}`);
    } catch {
      // Not in every hierarchy; one that is not empty is found by the leak check.
    }
  }
}

export function neverAborted(): AbortSignal {
  return new AbortController().signal;
}

/** The containers' words without time, stream and tag; partial lines joined. */
export function logText(log: string): string {
  return log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, , tag = '', ...words] = line.split(' ');
      return `${words.join(' ')}${tag.startsWith('P') ? '' : '\n'}`;
    })
    .join('');
}

/** Waits for a condition with a deadline; the error names it. */
export async function until<T>(
  look: () => Promise<T | undefined> | T | undefined,
  what: string,
  withinMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  while (true) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const uniqueName = (): string => `t${randomBytes(4).toString('hex')}`;
