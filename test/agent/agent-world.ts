import { randomBytes, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultConfig, type AgentConfig } from '../../agent/config/agent-config.js';
import { systemClock } from '../../base/clock.js';
import { noRecorder } from '../../base/call-recorder.js';
import { silentLogger } from '../../base/log.js';
import { programSucceeded, runProgram } from '../../base/run-program.js';
import { bridgeConfList, writeConfList } from '../../cni/index.js';
import { openImageStore } from '../../cri/embedded/images/index.js';
import { makeBusyboxImage } from '../setup/busybox-image.js';
import { tryHostProgram } from '../support/host-program.js';
import { agentProgram, AgentRun } from './agent-run.js';
import { endProcesses, entries, mountsBelow, podCgroups, processesNaming, removeCgroups } from './machine-traces.js';
import { natRulesOf, removeNatRules } from './nat-rules.js';

export const sampleImage = 'localhost/test/busybox:1';
/** The same content under another name. */
export const otherImage = 'localhost/test/busybox:2';
const never = new AbortController().signal;

/** Folders, network and cgroup of an agent under test, nobody else's; asserts at its end that nothing is left. */
export class AgentWorld implements AsyncDisposable {
  readonly dir: string;
  readonly config: AgentConfig;
  readonly bridge: string;
  readonly #runs: AgentRun[] = [];
  static #subnets = randomInt(256);

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
    const subnet = AgentWorld.#subnet(subnetBits);
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

  /** Nobody else's: of the worlds of a process each has its own, and those of the other lane of `npm test` are not among them. */
  static #subnet(bits: number): string {
    this.#subnets += 2 ** (24 - bits);
    const third = this.#subnets & 0xff & (0xff << (24 - bits));
    const second = (process.env['BERTH_TEST_LANE'] === 'beside' ? 220 : 210) + (process.pid % 10);
    return `10.${second}.${third}.0/${bits}`;
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

  /** Whether containers are there, whose conmon does not end before they do. */
  hasContainers(): boolean {
    return mountsBelow([this.config.paths.runDir]).some((path) => path.endsWith('/rootfs'));
  }

  /** Whatever of pods is on the machine; empty when nothing is. A conmon that has told of its container's end is left the time to end itself. */
  async leftovers(): Promise<string[]> {
    const deadline = performance.now() + 30_000;
    for (;;) {
      const found = await this.#leftovers();
      if (!found.some((line) => /^process .*\bconmon\b/.test(line)) || performance.now() > deadline) return found;
      await systemClock.sleep(50, never);
    }
  }

  async #leftovers(): Promise<string[]> {
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

/** True where the suite can run: as root, with the programs and the compiled agent. */
export async function canRunAgent(): Promise<boolean> {
  if (process.getuid?.() !== 0 || !existsSync(agentProgram)) return false;
  const found = await runProgram(
    { argv: ['crun', '--version'], env: { PATH: '/usr/bin:/usr/sbin:/bin' }, timeoutMs: 5000 },
    never,
  );
  return programSucceeded(found);
}
