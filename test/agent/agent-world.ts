import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { defaultConfig, type AgentConfig } from '../../agent/config/agent-config.js';
import { systemClock } from '../../base/clock.js';
import { errnoOf } from '../../base/errors.js';
import { noRecorder } from '../../base/call-recorder.js';
import { silentLogger } from '../../base/log.js';
import { programSucceeded, runProgram } from '../../base/run-program.js';
import { bridgeConfList, writeConfList } from '../../cni/index.js';
import { openImageStore } from '../../cri/embedded/images/index.js';
import { makeBusyboxImage } from '../setup/busybox-image.js';
import { tryHostProgram } from '../support/host-program.js';
import type { ContainerStatus, Event } from '../../agent/api/index.js';
import { natRulesOf, removeNatRules } from './nat-rules.js';
import type { AgentCommand, AgentLine, ExecResult, NodeAnswer } from './agent-lines.js';

/** Where the compiled agent lies; another place while several people compile in one checkout. */
const distRoot = process.env['BERTH_TEST_DIST'] ?? fileURLToPath(new URL('../../dist', import.meta.url));
const agentProgram = join(distRoot, 'test/agent/crash-agent.js');
export const sampleImage = 'localhost/test/busybox:1';
/** The same content under another name. */
export const otherImage = 'localhost/test/busybox:2';
const never = new AbortController().signal;

export type PodLine = Extract<AgentLine, { kind: 'pod' }>;

/** In the error of a wait; those that are not ready come first. */
const mostPodsTold = 20;

function summary(pod: PodLine): string {
  const containers = containersOf(pod).map(
    ({ name, state, restartCount }) => `${name}#${restartCount} ${JSON.stringify(state)}`,
  );
  return [`${pod.name} ${pod.phase}${pod.ready ? ' ready' : ''} ${pod.ip}`, ...containers, ...pod.waits].join('\n  ');
}

/** The statuses of all containers of a pod, of whatever kind. */
export function containersOf({ status }: PodLine): readonly ContainerStatus[] {
  return [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ];
}

/** One run of the agent as a process of its own. */
export class AgentRun implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly points: string[] = [];
  readonly pods = new Map<string, PodLine>();
  /** Everything that was ever said of each pod. */
  readonly history: PodLine[] = [];
  readonly ended: Promise<void>;
  #started = false;
  #tidy = false;
  #hasEnded = false;
  #listeners = new Set<() => void>();
  #log = '';
  readonly events: Event[] = [];
  readonly #replies = new Map<number, Extract<AgentLine, { kind: 'reply' }>>();
  #commands = 0;

  constructor(configPath: string) {
    this.#child = spawn(
      process.execPath,
      [...(process.env['BERTH_TEST_NODE_FLAGS']?.split(' ') ?? []), agentProgram, configPath],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    // An agent that dies does so without reading what was asked of it.
    this.#child.stdin?.on('error', () => {});
    this.ended = new Promise((resolve) => {
      this.#child.once('exit', () => {
        this.#hasEnded = true;
        this.#tell();
        resolve();
      });
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => this.#read(line));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#log += chunk.toString()));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get log(): string {
    return this.#log;
  }

  kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    return this.ended;
  }

  /** What the agent itself took for an error. */
  get errors(): string[] {
    return this.#log
      .split('\n')
      .filter((line) => !line.startsWith('{') || /"level":[56]0/.test(line))
      .filter(Boolean);
  }

  /** Resolves when `holds` does; what it waited for and the end of the log are in the error. */
  async until(what: string, holds: (run: AgentRun) => boolean, withinMs = 30_000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!holds(this)) {
      const left = deadline - Date.now();
      if (left <= 0 || this.#hasEnded) {
        const waiting = [...this.pods.values()].filter(({ ready }) => !ready);
        const state = (waiting.length > 0 ? waiting : [...this.pods.values()])
          .slice(0, mostPodsTold)
          .map(summary)
          .join('\n');
        throw new Error(
          `${what}: ${this.#hasEnded ? 'the agent ended' : `not within ${withinMs} ms`}\npods:\n${state}\nlog:\n${this.#log.slice(-3000)}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left);
        const listeners = this.#listeners;
        function done(): void {
          clearTimeout(timer);
          listeners.delete(done);
          resolve();
        }
        listeners.add(done);
      });
    }
  }

  /** The newest line of a pod, by name; of its newest uid when one of the same name is on its way out. */
  find(name: string): PodLine | undefined {
    return [...this.pods.values()].findLast((pod) => pod.name === name);
  }

  pod(name: string): PodLine {
    const found = this.find(name);
    if (!found) throw new Error(`the agent has no pod ${name}\n${this.#log.slice(-3000)}`);
    return found;
  }

  /** Resolves with the pod's line once `holds` is true of it. */
  async untilPod(name: string, what: string, holds: (pod: PodLine) => boolean, withinMs?: number): Promise<PodLine> {
    const found = (): PodLine | undefined => {
      const pod = this.find(name);
      return pod && holds(pod) ? pod : undefined;
    };
    await this.until(`pod ${name} ${what}`, () => found() !== undefined, withinMs);
    return found() as PodLine;
  }

  /** Lines of a pod's history, in order. */
  historyOf(name: string): PodLine[] {
    return this.history.filter((pod) => pod.name === name);
  }

  /** `Reason: message` of the events of a pod and its containers. */
  eventsOf(name: string): string[] {
    return this.events
      .filter(({ involvedObject }) => involvedObject.name === name)
      .map(({ reason = '', message = '' }) => `${reason}: ${message}`);
  }

  async ask(command: AgentCommand): Promise<unknown> {
    const id = ++this.#commands;
    this.#child.stdin?.write(`${JSON.stringify({ id, command })}\n`);
    await this.until(`the answer to ${command.do}`, () => this.#replies.has(id));
    const reply = this.#replies.get(id);
    this.#replies.delete(id);
    if (reply?.error !== undefined) throw new Error(`${command.do}: ${reply.error}`);
    return reply?.value;
  }

  async apply(manifest: string, raw = false): Promise<void> {
    await this.ask({ do: 'apply', manifest, raw });
  }

  async delete(name: string, graceSeconds?: number, kind = 'Pod'): Promise<void> {
    await this.ask({ do: 'delete', kind, namespace: 'default', name, graceSeconds });
  }

  async node(): Promise<NodeAnswer> {
    return (await this.ask({ do: 'node' })) as NodeAnswer;
  }

  async exec(pod: string, container: string, ...command: string[]): Promise<ExecResult> {
    const { containerID } = this.container(pod, container);
    return (await this.ask({ do: 'exec', containerId: containerID ?? '', command })) as ExecResult;
  }

  /** Standard output of a shell script run in a container; fails when the script does. */
  async sh(pod: string, container: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await this.exec(pod, container, 'sh', '-c', script);
    if (code !== 0) throw new Error(`"${script}" in ${pod}/${container} exited with ${code}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  container(pod: string, name: string): ContainerStatus {
    const found = containersOf(this.pod(pod)).find((container) => container.name === name);
    if (!found) throw new Error(`pod ${pod} reports no container ${name}`);
    return found;
  }

  untilStarted(): Promise<void> {
    return this.until('the agent has started', () => this.#started);
  }

  untilReady(name: string, withinMs?: number): Promise<void> {
    return this.until(
      `pod ${name} is ready`,
      () => [...this.pods.values()].some((pod) => pod.name === name && pod.ready),
      withinMs,
    );
  }

  untilGone(withinMs?: number): Promise<void> {
    return this.until('all pods are gone', () => this.#tidy && this.pods.size === 0, withinMs);
  }

  /** SIGTERM, as systemd does; containers keep running. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await this.ended;
    clearTimeout(timer);
  }

  #read(text: string): void {
    const line = JSON.parse(text) as AgentLine;
    if (line.kind === 'started') this.#started = true;
    if (line.kind === 'tidy') this.#tidy = true;
    if (line.kind === 'at') this.points.push(line.point);
    if (line.kind === 'pod') {
      this.pods.set(line.uid, line);
      this.history.push(line);
    }
    if (line.kind === 'gone') this.pods.delete(line.uid);
    if (line.kind === 'event') this.events.push(line.event);
    if (line.kind === 'reply') this.#replies.set(line.id, line);
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Folders, network and cgroup of an agent under test, nobody else's; asserts at its end that nothing is left. */
export class AgentWorld implements AsyncDisposable {
  readonly dir: string;
  readonly config: AgentConfig;
  readonly bridge: string;
  readonly #runs: AgentRun[] = [];

  private constructor(dir: string, bridge: string, config: AgentConfig) {
    this.dir = dir;
    this.bridge = bridge;
    this.config = config;
  }

  /** `subnetBits` leaves room for more pods than a /24 has addresses. */
  static async open(
    change: (config: AgentConfig) => AgentConfig = (config) => config,
    subnetBits = 24,
  ): Promise<AgentWorld> {
    const dir = await mkdtemp(join(tmpdir(), 'berth-agent-'));
    const bridge = `bt${randomBytes(4).toString('hex')}`;
    const base = defaultConfig('test-node', 2);
    const third = (randomBytes(1)[0] as number) & (0xff << (24 - subnetBits));
    const subnet = `10.${210 + ((randomBytes(1)[0] as number) % 20)}.${third}.0/${subnetBits}`;
    const config = change({
      ...base,
      paths: {
        ...base.paths,
        rootDir: join(dir, 'root'),
        stateDir: join(dir, 'state'),
        runDir: join('/run', `berth-test-${bridge}`),
        podLogsDir: join(dir, 'logs'),
        containerLogsDir: undefined,
        cniConfDir: join(dir, 'net.d'),
        cniBinDirs: ['/usr/lib/cni'],
        volumePluginDir: join(dir, 'flexvolume'),
      },
      sources: { ...base.sources, manifestPath: join(dir, 'manifests') },
      cgroups: { ...base.cgroups, root: `/${bridge}` },
      serving: { ...base.serving, socketPath: join(dir, 'berth.sock'), healthzPort: 0 },
    });
    const world = new AgentWorld(dir, bridge, config);
    await mkdir(join(dir, 'manifests'), { recursive: true });
    const list = bridgeConfList({ name: bridge, bridge, subnets: [subnet], dataDir: join(dir, 'addresses') });
    await writeConfList(config.paths.cniConfDir, '10-test.conflist', list);
    await world.#importImage();
    return world;
  }

  async start(dieAt?: string, quiet = false): Promise<AgentRun> {
    const path = join(this.dir, 'crash-config.json');
    await writeFile(path, JSON.stringify({ agent: this.config, dieAt, quiet }));
    const run = new AgentRun(path);
    this.#runs.push(run);
    return run;
  }

  async write(file: string, manifest: string): Promise<void> {
    await writeFile(join(this.dir, 'manifests', file), manifest);
  }

  async append(file: string, text: string): Promise<void> {
    await appendFile(join(this.dir, 'manifests', file), text);
  }

  async remove(file: string): Promise<void> {
    await rm(join(this.dir, 'manifests', file));
  }

  /** Addresses that are taken from the network. */
  async addresses(): Promise<string[]> {
    return (await entries(join(this.dir, 'addresses', this.bridge))).filter((name) => /^\S*\d+\.\d+$/.test(name));
  }

  /** Whatever of pods is on the machine; empty when nothing is. */
  async leftovers(): Promise<string[]> {
    const { runDir, rootDir, stateDir } = this.config.paths;
    // The tmpfs of the run folder itself stays as long as the agent's folders do.
    const mounts = mountsBelow([this.dir, runDir]).filter((path) => path !== runDir);
    // The runtime's trash is emptied at leisure, when nothing of the pod is left.
    const trash = join(stateDir, 'runtime', 'trash');
    const processes = (await processesNaming([this.dir, runDir])).filter(
      (text) => !text.includes(`rm -rf --one-file-system -- ${trash}/`),
    );
    const cgroups = await podCgroups(this.bridge);
    const folders = [
      ...(await entries(join(rootDir, 'pods'))),
      ...(await entries(join(runDir, 'ns'))),
      ...(await entries(join(stateDir, 'runtime', 'sandboxes'))),
      ...(await entries(join(stateDir, 'runtime', 'containers'))),
      ...(await entries(this.config.paths.podLogsDir)),
    ];
    const addresses = await this.addresses();
    const natRules = await natRulesOf(this.bridge);
    const links = await entries(join('/sys/class/net', this.bridge, 'brif'));
    return [
      ...mounts.map((path) => `mount ${path}`),
      ...processes.map((text) => `process ${text}`),
      ...cgroups.map((path) => `cgroup ${path}`),
      ...folders.map((path) => `folder ${path}`),
      ...addresses.map((path) => `address ${path}`),
      ...natRules.map((rule) => `rule ${rule}`),
      ...links.map((name) => `link ${name}`),
    ];
  }

  /**
   * What a power cut and the boot after it do to pods: every process of theirs ends, every mount, namespace and rule is gone, `/run`
   * is empty. The agent must not run.
   */
  async reboot(): Promise<void> {
    const { runDir } = this.config.paths;
    await endProcesses(this.bridge, [this.dir, runDir]);
    for (const path of mountsBelow([this.dir, runDir]).toReversed()) await tryHostProgram(['umount', '--lazy', path]);
    await tryHostProgram(['ip', 'link', 'delete', this.bridge]);
    await removeNatRules(this.bridge);
    await rm(runDir, { recursive: true, force: true });
    await removeCgroups(this.bridge);
  }

  /** Also after a test that failed half way: nothing of it may stay on the machine. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const run of this.#runs) await run[Symbol.asyncDispose]();
    await this.reboot();
    await rm(this.dir, { recursive: true, force: true });
  }

  async #importImage(): Promise<void> {
    const path = join(this.dir, 'busybox.tar');
    await makeBusyboxImage({ path, reference: sampleImage });
    const deps = { run: runProgram, recorder: noRecorder, log: silentLogger, clock: systemClock };
    await using store = await openImageStore(
      { dir: join(this.config.paths.stateDir, 'images'), flush: false },
      deps,
      never,
    );
    await store.importArchive(path, { reference: sampleImage }, never);
    await store.tag(sampleImage, otherImage, never);
  }
}

async function entries(folder: string): Promise<string[]> {
  return existsSync(folder) ? await readdir(folder) : [];
}

async function processesNaming(texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
    if (command.includes('crash-agent')) continue;
    if (texts.some((text) => command.includes(text))) found.push(`${pid} ${command.slice(0, 200)}`);
  }
  return found;
}

async function cgroupRoots(): Promise<string[]> {
  return (await readdir('/sys/fs/cgroup')).map((name) => join('/sys/fs/cgroup', name));
}

/** Cgroups of pods; those of the QoS tiers stay while the agent's root is there. */
async function podCgroups(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const mount of await cgroupRoots()) {
    for (const tier of ['kubepods', 'kubepods/burstable', 'kubepods/besteffort']) {
      for (const name of await entries(join(mount, root, tier))) {
        if (name.startsWith('pod')) found.push(join(mount, root, tier, name));
      }
    }
  }
  return found;
}

function mountsBelow(folders: readonly string[]): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => folders.some((folder) => path.startsWith(folder)));
}

/** Those of the pods, by their cgroups, and what looks after them, by the folders it names; until none is left. */
async function endProcesses(root: string, texts: readonly string[]): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const named = (await processesNaming(texts)).map((line) => Number(line.split(' ')[0]));
    const pids = new Set([...named, ...(await cgroupProcesses(root))]);
    if (pids.size === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (err) {
        if (errnoOf(err) !== 'ESRCH') throw err;
      }
    }
    await systemClock.sleep(20, never);
  }
  throw new Error(`processes of ${root} do not end`);
}

async function cgroupFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => []))
      if (entry.isDirectory()) await walk(join(folder, entry.name));
    found.push(folder);
  };
  for (const mount of await cgroupRoots()) if (existsSync(join(mount, root))) await walk(join(mount, root));
  return found;
}

async function cgroupProcesses(root: string): Promise<number[]> {
  const texts = (await cgroupFolders(root)).map((folder) =>
    readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => ''),
  );
  return (await Promise.all(texts)).flatMap((text) => text.split('\n').filter(Boolean).map(Number));
}

/** Deepest first. */
async function removeCgroups(root: string): Promise<void> {
  for (const folder of await cgroupFolders(root)) await rmdir(folder).catch(() => {});
}

/** True where the suite can run: as root, with the programs and the compiled agent. */
export async function canRunAgent(): Promise<boolean> {
  if (process.getuid?.() !== 0 || !existsSync(agentProgram)) return false;
  const found = await runProgram(
    { argv: ['crun', '--version'], env: { PATH: '/usr/bin:/usr/sbin:/bin' }, timeoutMs: 5000 },
    never,
  );
  return programSucceeded(found);
}
