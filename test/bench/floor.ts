import { setMaxListeners } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noRecorder } from '../../base/call-recorder.js';
import { FifoLimit } from '../../base/fifo-limit.js';
import { describeEnd, programSucceeded, runProgram, type ProgramOptions } from '../../base/run-program.js';
import { startConmon } from '../../cri/embedded/host/conmon.js';
import { pluginConfigs } from './bench-network.js';
import type { Sample } from './measure.js';

export interface FloorOptions {
  readonly dir: string;
  readonly rootfs: string;
  /** Bridge and subnet of this run's own. */
  readonly bridge: string;
  readonly subnet: string;
  readonly dataDir: string;
  readonly concurrency: number;
}

const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
const binDir = '/usr/lib/cni';
const never = new AbortController().signal;
// One listener for each child that runs.
setMaxListeners(0, never);

async function must(options: Partial<ProgramOptions> & Pick<ProgramOptions, 'argv'>): Promise<Buffer> {
  const result = await runProgram({ env, timeoutMs: 60_000, ...options }, never);
  if (!programSucceeded(result)) throw new Error(`${options.argv.join(' ')}: ${describeEnd(result)}`);
  return result.stdout;
}

/** The bare steps of one pod, one child each as the embedded runtime has them, and nothing else. */
class FloorPod {
  readonly #id: string;
  readonly #dir: string;
  readonly #options: FloorOptions;
  #result = '';

  constructor(index: number, options: FloorOptions) {
    this.#id = `floor${process.pid}-${index}`;
    this.#dir = join(options.dir, String(index));
    this.#options = options;
  }

  async start(): Promise<void> {
    const { rootfs } = this.#options;
    const dir = this.#dir;
    for (const name of ['rootfs', 'upper', 'work']) await mkdir(join(dir, name), { recursive: true });
    for (const kind of ['net', 'ipc', 'uts']) await writeFile(join(dir, kind), '');
    const pins = ['net', 'ipc', 'uts'].map((kind) => `--${kind}=${join(dir, kind)}`);
    await must({ argv: ['unshare', ...pins, '--', 'ip', 'link', 'set', 'lo', 'up'] });
    this.#result = await this.#cni('ADD');
    const overlay = `lowerdir=${rootfs},upperdir=${join(dir, 'upper')},workdir=${join(dir, 'work')}`;
    await must({ argv: ['mount', '-t', 'overlay', '-o', overlay, 'overlay', join(dir, 'rootfs')] });
    await writeFile(join(dir, 'config.json'), JSON.stringify(ociConfig(dir)));
    // Not through `must`: conmon keeps its pipe open as long as the container lives, and what counts is the line that it writes there.
    await startConmon(
      {
        argv: this.#conmonArgv(),
        logPath: join(dir, 'conmon.log'),
        verb: 'create',
        ociRuntime: 'crun',
        subject: {},
        timeoutMs: 60_000,
      },
      noRecorder,
      never,
    );
    await must({ argv: ['crun', `--root=${join(this.#options.dir, 'oci')}`, 'start', this.#id] });
  }

  async stop(): Promise<void> {
    await must({ argv: ['crun', `--root=${join(this.#options.dir, 'oci')}`, 'delete', '--force', this.#id] });
    await this.#cni('DEL');
    await must({
      argv: ['umount', join(this.#dir, 'rootfs'), ...['net', 'ipc', 'uts'].map((kind) => join(this.#dir, kind))],
    });
    await rm(this.#dir, { recursive: true });
  }

  #conmonArgv(): [string, ...string[]] {
    const { dir } = this.#options;
    const own = this.#dir;
    return [
      'conmon',
      '--api-version',
      '1',
      '-c',
      this.#id,
      '-u',
      this.#id,
      '-r',
      '/usr/bin/crun',
      '-b',
      own,
      '-p',
      join(own, 'pidfile'),
      '-P',
      join(own, 'conmon.pid'),
      '-l',
      `k8s-file:${join(own, 'log')}`,
      '--exit-dir',
      join(dir, 'exits'),
      '--runtime-arg',
      `--root=${join(dir, 'oci')}`,
      '--no-sync-log',
      '--full-attach',
    ];
  }

  /** Every plugin of the list, in order, as a CNI client calls them. */
  async #cni(command: 'ADD' | 'DEL'): Promise<string> {
    const plugins = pluginConfigs(this.#options);
    let previous: unknown = this.#result === '' ? undefined : JSON.parse(this.#result);
    for (const plugin of command === 'ADD' ? plugins : plugins.toReversed()) {
      const stdout = await must({
        argv: [join(binDir, String(plugin['type']))],
        env: {
          ...env,
          CNI_COMMAND: command,
          CNI_CONTAINERID: this.#id,
          CNI_NETNS: join(this.#dir, 'net'),
          CNI_IFNAME: 'eth0',
          CNI_PATH: binDir,
        },
        stdin: JSON.stringify({ ...plugin, ...(previous === undefined ? {} : { prevResult: previous }) }),
      });
      if (command === 'ADD') previous = JSON.parse(stdout.toString());
    }
    return JSON.stringify(previous);
  }
}

function ociConfig(dir: string): unknown {
  const bind = (kind: string): unknown => ({ type: kind === 'net' ? 'network' : kind, path: join(dir, kind) });
  return {
    ociVersion: '1.0.2',
    root: { path: join(dir, 'rootfs') },
    process: { args: ['sleep', '1000000'], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
    ],
    linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }, bind('net'), bind('ipc'), bind('uts')] },
  };
}

/** Starts `count` pods at once; the time until each is up, then removes them all. */
export async function runFloor(count: number, options: FloorOptions): Promise<Sample> {
  await mkdir(join(options.dir, 'exits'), { recursive: true });
  await mkdir(join(options.dir, 'oci'), { recursive: true });
  const pods = Array.from({ length: count }, (_, index) => new FloorPod(index, options));
  const gate = new FifoLimit(options.concurrency);
  const started = performance.now();
  const readyMs: number[] = [];
  await Promise.all(
    pods.map((pod) =>
      gate.run(async () => {
        await pod.start();
        readyMs.push(performance.now() - started);
      }, never),
    ),
  );
  const deleteStarted = performance.now();
  await Promise.all(pods.map((pod) => gate.run(() => pod.stop(), never)));
  return { readyMs: readyMs.sort((a, b) => a - b), deleteMs: performance.now() - deleteStarted };
}
