import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bridgeConfList, writeConfList } from '../../../cni/index.js';
import { cgroupFolders, detectHierarchy } from '../../../agent/resources/cgroups/hierarchy.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { LeakCheck } from '../../support/leak-check.js';
import { tryHostProgram } from '../../support/host-program.js';

/** The compiled command; `npm test` compiles first. */
export const berthMain = process.env['BERTH_MAIN'] ?? new URL('../../../dist/bin/berth.js', import.meta.url).pathname;

export const busybox = 'localhost/test/busybox:1';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Sent once the output holds `until`. */
  readonly interrupt?: { readonly until: string; readonly signal: NodeJS.Signals } | undefined;
}

const commandMs = 60_000;

/** A real agent process with folders, bridge and cgroup of its own, and the command line to talk to it. Leaves nothing behind. */
export class BerthWorld implements AsyncDisposable {
  readonly dir: string;
  readonly name: string;
  readonly subnet: string;
  readonly bridge: string;
  readonly #leaks: LeakCheck;
  agent: ChildProcess | undefined;
  agentLog = '';

  private constructor(dir: string, name: string, subnet: string, leaks: LeakCheck) {
    this.dir = dir;
    this.name = name;
    this.subnet = subnet;
    this.bridge = `bt${name}`;
    this.#leaks = leaks;
  }

  /** `/run` keeps the paths of sockets short and is where an agent's files are. */
  static async open(): Promise<BerthWorld> {
    const name = Math.random().toString(36).slice(2, 8);
    const leaks = await LeakCheck.open({ tokens: [name] });
    const dir = await mkdtemp(`/tmp/berth-${name}-`);
    // Not one of the other lane of `npm test`.
    const second = process.env['BERTH_TEST_LANE'] === 'beside' ? 231 : 230;
    const octet = 1 + Math.floor(Math.random() * 250);
    const world = new BerthWorld(dir, name, `10.${second}.${octet}.0/24`, leaks);
    await writeConfList(
      join(dir, 'cni'),
      '10-test.conflist',
      bridgeConfList({
        name: `bt${name}`,
        bridge: world.bridge,
        subnets: [world.subnet],
        dataDir: join(dir, 'addresses'),
      }),
    );
    await mkdir(world.manifests);
    return world;
  }

  get manifests(): string {
    return join(this.dir, 'manifests');
  }

  get socket(): string {
    return join(this.dir, 'run', 'berth.sock');
  }

  get agentFlags(): string[] {
    const { dir } = this;
    const folders = { manifests: this.manifests, 'root-dir': join(dir, 'kubelet'), 'state-dir': join(dir, 'state') };
    const more = { 'run-dir': join(dir, 'run'), 'pod-logs-dir': join(dir, 'logs'), 'cni-conf-dir': join(dir, 'cni') };
    const flags = Object.entries({ ...folders, ...more }).flatMap(([name, value]) => [`--${name}`, value]);
    return [...flags, '--cgroup-root', `/${this.name}`, '--healthz-port', '0', '--node-name', 'test-node'];
  }

  /** Resolves once the agent answers. */
  async start(
    options: { env?: Readonly<Record<string, string>>; flags?: readonly string[]; umask?: string } = {},
  ): Promise<ChildProcess> {
    const command = [process.execPath, berthMain, 'agent', ...this.agentFlags, ...(options.flags ?? [])];
    const agent = spawn('/bin/sh', ['-c', `umask ${options.umask ?? '022'}; exec "$@"`, 'sh', ...command], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', ...options.env },
    });
    agent.stderr.setEncoding('utf8').on('data', (text: string) => (this.agentLog += text));
    this.agent = agent;
    await this.until('the agent answers', async () => {
      if (agent.exitCode !== null) throw new Error(`the agent ended:\n${this.agentLog}`);
      return (await this.berth(['get', 'nodes'])).code === 0;
    });
    return agent;
  }

  async importBusybox(): Promise<void> {
    const path = join(this.dir, 'busybox.tar');
    await makeBusyboxImage({ path, reference: busybox });
    const { code, stderr } = await this.berth(['images', 'import', path]);
    if (code !== 0) throw new Error(stderr);
  }

  async berth(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const [command = '', ...rest] = args;
    const words = command === 'images' && rest[0] && !rest[0].startsWith('-') ? 2 : 1;
    const own = ['agent', 'demo', 'check', 'completion', '__complete'].includes(command)
      ? []
      : ['--socket', this.socket];
    return await runBerth([...args.slice(0, words), ...own, ...args.slice(words)], options);
  }

  /** A command that goes on until it is ended; both its outputs are read as text. */
  begin(...args: string[]): ChildProcessWithoutNullStreams {
    const command = spawn(process.execPath, [berthMain, ...args, '--socket', this.socket]);
    for (const stream of [command.stdout, command.stderr]) stream.setEncoding('utf8');
    return command;
  }

  /** As `berth`, for a command that must succeed. */
  async ok(...args: string[]): Promise<string> {
    const ran = await this.berth(args);
    if (ran.code !== 0) throw new Error(`berth ${args.join(' ')}: exited with ${ran.code}: ${ran.stderr}${ran.stdout}`);
    return ran.stdout;
  }

  async apply(manifest: string): Promise<string> {
    const ran = await this.berth(['apply', '-f', '-'], { input: manifest });
    if (ran.code !== 0) throw new Error(`apply: ${ran.stderr}`);
    return ran.stdout;
  }

  async untilReady(...pods: string[]): Promise<void> {
    for (const pod of pods) {
      await this.until(`${pod} is ready`, async () => {
        const path = `jsonpath={.status.conditions[*]}`;
        const { stdout } = await this.berth(['get', 'pod', pod, '-o', path]);
        return /"type":"Ready","status":"True"|"status":"True"[^}]*"type":"Ready"/.test(stdout);
      });
    }
  }

  async until(what: string, met: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 60_000;
    while (!(await met())) {
      if (performance.now() > deadline) throw new Error(`waited in vain: ${what}\n${this.agentLog.slice(-4000)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const { agent } = this;
    this.agent = undefined;
    if (!agent) return null;
    if (agent.exitCode === null && agent.signalCode === null) {
      // Not its exit: what it said last may be on its way then.
      const ended = once(agent, 'close');
      agent.kill(signal);
      await ended;
    }
    return agent.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.manifests, { recursive: true, force: true });
    await mkdir(this.manifests, { recursive: true });
    if (existsSync(join(this.dir, 'state'))) {
      if (!this.agent) await this.start();
      const names = (await this.ok('get', 'pods', '-o', 'name')).split('\n').filter((name) => name !== '');
      for (const name of names) await this.berth(['delete', name, '--force', '--no-wait']);
      await this.until('all pods are gone', async () => (await this.ok('get', 'pods', '-A', '-o', 'name')) === '');
    }
    await this.stop();
    await tryHostProgram(['ip', 'link', 'delete', this.bridge]);
    // The tmpfs of the run folder, on machines whose temporary folder is on disk.
    await tryHostProgram(['umount', join(this.dir, 'run')]);
    for (const folder of cgroupFolders(await detectHierarchy(), this.name))
      for (const below of ['kubepods/besteffort', 'kubepods/burstable', 'kubepods', '.'])
        await rmdir(join(folder, below)).catch(() => {});
    await rm(this.dir, { recursive: true, force: true });
    await this.#leaks[Symbol.asyncDispose]();
  }
}

export async function runBerth(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return await runProcess(process.execPath, [berthMain, ...args], options);
}

export async function runProcess(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawn(program, args, {
    stdio: 'pipe',
    env: { PATH: process.env['PATH'] ?? '', ...options.env },
    timeout: commandMs,
    killSignal: 'SIGKILL',
  });
  const ran = { stdout: '', stderr: '' };
  let sent = false;
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      ran[stream] += text;
      const { interrupt } = options;
      if (!interrupt || sent || !ran[stream].includes(interrupt.until)) return;
      sent = true;
      child.kill(interrupt.signal);
    });
  }
  child.stdin.on('error', () => {});
  child.stdin.end(options.input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...ran };
}
