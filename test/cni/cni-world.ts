import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallOutcome, PluginCall } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { runProgram, type RunProgram } from '../../base/run-program.js';
import {
  bridgeConfList,
  openCni,
  writeConfList,
  type BridgeNetworkOptions,
  type Cni,
  type CniOptions,
} from '../../cni/index.js';
import { hostProgram, tryHostProgram } from '../support/host-program.js';
import { LeakCheck } from '../support/leak-check.js';
import { TempNetns } from '../support/temp-netns.js';

export interface PluginSet {
  readonly name: string;
  readonly dir: string;
  /** Newest version of the specification it speaks. */
  readonly spec: '1.0.0' | '1.1.0';
}

const candidates: readonly PluginSet[] = [
  { name: 'plugins of Debian 12', dir: '/usr/lib/cni', spec: '1.0.0' },
  { name: 'plugins 1.9', dir: process.env['BERTH_CNI_1_9'] ?? '/opt/cni/bin', spec: '1.1.0' },
];

/** The plugin sets that are on this machine. Debian's must be; a missing newer one is said and left out. */
export function pluginSets(): PluginSet[] {
  return candidates.filter((set) => {
    const there = existsSync(join(set.dir, 'bridge'));
    if (!there) process.stderr.write(`SKIPPED: no CNI plugins in ${set.dir} (${set.name}), their tests do not run\n`);
    return there || set.name === 'plugins of Debian 12';
  });
}

export interface RecordedCall extends PluginCall {
  outcome?: CallOutcome;
}

/** A network of its own with folders of its own; disposing it checks that nothing is left of either on the machine. */
export class CniWorld implements AsyncDisposable {
  readonly root: string;
  readonly id: string;
  readonly bridge: string;
  readonly subnet: string;
  readonly binDirs: readonly string[];
  readonly confDir: string;
  readonly calls: RecordedCall[] = [];
  /** Wraps the start of programs with faults; replaced by a test. */
  run: RunProgram = runProgram;
  readonly #leaks: LeakCheck;
  readonly #opened: Cni[] = [];
  readonly #namespaces: TempNetns[] = [];

  private constructor(root: string, id: string, octet: number, binDirs: readonly string[], leaks: LeakCheck) {
    this.root = root;
    this.id = id;
    this.bridge = `brt${id}`;
    this.subnet = `10.88.${octet}.0/24`;
    this.binDirs = [join(root, 'bin'), ...binDirs];
    this.confDir = join(root, 'net.d');
    this.#leaks = leaks;
  }

  static async open(pluginDir?: string): Promise<CniWorld> {
    const root = await mkdtemp(join(tmpdir(), 'berth-cni-'));
    const id = root.slice(-6).replaceAll(/[^a-zA-Z0-9]/g, 'x');
    const octet = await freeOctet();
    const tokens = [root, id, `10.88.${octet}.`];
    const kinds = ['netns', 'mount', 'link', 'iptables', 'nftables', 'process', 'listener'] as const;
    const leaks = await LeakCheck.open({ tokens, kinds });
    const world = new CniWorld(root, id, octet, pluginDir === undefined ? [] : [pluginDir], leaks);
    await mkdir(world.confDir);
    await mkdir(join(root, 'bin'));
    return world;
  }

  get dataDir(): string {
    return join(this.root, 'host-local');
  }

  get cacheDir(): string {
    return join(this.root, 'cache');
  }

  get network(): string {
    return `net-${this.id}`;
  }

  async cni(options: Partial<CniOptions> = {}): Promise<Cni> {
    const { confDir, binDirs, cacheDir } = this;
    const recorder = {
      begin: (call: PluginCall) => {
        const recorded: RecordedCall = { ...call };
        this.calls.push(recorded);
        return (outcome: CallOutcome): void => {
          recorded.outcome = outcome;
        };
      },
    };
    const run: RunProgram = (program, signal) => this.run(program, signal);
    const deps = { run, recorder, log: silentLogger, clock: systemClock };
    const cni = await openCni({ confDir, binDirs, cacheDir, ...options }, deps, new AbortController().signal);
    this.#opened.push(cni);
    return cni;
  }

  async netns(name: string): Promise<TempNetns> {
    const netns = await TempNetns.open({ folder: join(this.root, 'netns'), name });
    this.#namespaces.push(netns);
    return netns;
  }

  containerId(name: string): string {
    return `${name}-${this.id}`;
  }

  async writeBridge(options: Partial<BridgeNetworkOptions> = {}): Promise<string> {
    const { network: name, bridge, subnet, dataDir } = this;
    return await this.writeList(
      '10-bridge.conflist',
      bridgeConfList({ name, bridge, subnets: [subnet], dataDir, ...options }),
    );
  }

  async writeList(fileName: string, list: object): Promise<string> {
    return await writeConfList(this.confDir, fileName, list as Record<string, unknown>);
  }

  /** A `host-local` section for hand-made configurations. */
  get ipam(): object {
    return {
      type: 'host-local',
      ranges: [[{ subnet: this.subnet }]],
      dataDir: this.dataDir,
      routes: [{ dst: '0.0.0.0/0' }],
    };
  }

  /** A plugin made for the test: a shell script. */
  async writePlugin(name: string, script: string, mode = 0o755): Promise<void> {
    await writeFile(join(this.root, 'bin', name), `#!/bin/sh\n${script}\n`, { mode });
  }

  /** Addresses that `host-local` holds. */
  async heldAddresses(): Promise<string[]> {
    const folder = join(this.dataDir, this.network);
    if (!existsSync(folder)) return [];
    return (await readdir(folder)).filter((name) => /^[\d.]+$|:/.test(name)).sort();
  }

  /** Lines of the nat and filter tables that speak of this network. */
  async natRules(): Promise<string[]> {
    const text = await hostProgram(['iptables-save']);
    return text.split('\n').filter((line) => line.includes(this.id) || line.includes(this.subnet.slice(0, -4)));
  }

  async recordFiles(): Promise<string[]> {
    return await readdir(join(this.cacheDir, 'attachments'));
  }

  verbs(): string[] {
    return this.calls.map((call) => `${call.verb} ${call.plugin}`);
  }

  /** A test that failed half way leaves attachments; the next test should not find them. */
  async #close(cni: Cni): Promise<void> {
    const { signal } = new AbortController();
    for (const { containerId } of cni.attachments()) {
      await cni
        .detach({ containerId }, signal)
        .catch(() => cni.detach({ containerId }, signal))
        .catch(() => {});
    }
    await cni[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.run = runProgram;
    const left = this.#opened.at(-1)?.attachments() ?? [];
    for (const cni of this.#opened) await this.#close(cni);
    for (const netns of this.#namespaces) await netns[Symbol.asyncDispose]();
    await tryHostProgram(['ip', 'link', 'delete', this.bridge]);
    const held = await this.heldAddresses();
    await rm(this.root, { recursive: true });
    await this.#leaks[Symbol.asyncDispose]();
    if (left.length > 0)
      throw new Error(`attachments left: ${left.map((a) => `${a.containerId} ${a.phase}`).join(', ')}`);
    if (held.length > 0) throw new Error(`addresses still held: ${held.join(', ')}`);
  }
}

/** A third octet of 10.88.0.0/16 that no interface of the machine uses. */
async function freeOctet(): Promise<number> {
  const addresses = await hostProgram(['ip', '-4', 'address', 'show']);
  for (;;) {
    const octet = 1 + Math.floor(Math.random() * 254);
    if (!addresses.includes(`10.88.${octet}.`)) return octet;
  }
}
