import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { programSucceeded } from '../../base/run-program.js';
import { tryHostProgram } from './host-program.js';

export type LeakKind = 'netns' | 'mount' | 'link' | 'iptables' | 'nftables' | 'cgroup' | 'process' | 'listener';

export interface LeakCheckOptions {
  /**
   * Only things whose line holds one of these words count: a unique bridge name, container id, temporary folder. Other
   * suites may run on the machine at the same time. Absent: everything that is new counts.
   */
  readonly tokens?: readonly string[];
  readonly kinds?: readonly LeakKind[];
  /** How long things may take to go by themselves (a veth dies a moment after its namespace). Default 30 s. */
  readonly settleMs?: number;
}

const readers: { readonly [K in LeakKind]: () => Promise<string[]> } = {
  netns: async () => (await mountLines()).filter((line) => line.includes(' - nsfs ')).map((line) => mountPoint(line)),
  mount: async () => (await mountLines()).filter((line) => !line.includes(' - nsfs ')).map((line) => mountPoint(line)),
  link: linkLines,
  iptables: iptablesLines,
  nftables: async () => await programLines(['nft', '-s', 'list', 'ruleset']),
  cgroup: cgroupFolders,
  process: processLines,
  listener: listenerLines,
};

const allKinds = Object.keys(readers) as LeakKind[];

/**
 * A picture of what the kernel holds, taken when opened; disposing it fails when something new is still there.
 * Open it first in a test with `await using`, so that it looks last.
 */
export class LeakCheck implements AsyncDisposable {
  readonly #options: LeakCheckOptions;
  readonly #before: ReadonlyMap<LeakKind, ReadonlySet<string>>;

  private constructor(options: LeakCheckOptions, before: ReadonlyMap<LeakKind, ReadonlySet<string>>) {
    this.#options = options;
    this.#before = before;
  }

  static async open(options: LeakCheckOptions = {}): Promise<LeakCheck> {
    return new LeakCheck(options, await snapshot(options.kinds ?? allKinds));
  }

  /** What is there now, was not there before, and belongs to the test: `link: vethab12 master brt-1`. */
  async leaks(): Promise<string[]> {
    const now = await snapshot(this.#options.kinds ?? allKinds);
    const found: string[] = [];
    for (const [kind, lines] of now) {
      for (const line of lines) {
        if (!this.#before.get(kind)?.has(line) && this.#counts(line)) found.push(`${kind}: ${line}`);
      }
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const deadline = performance.now() + (this.#options.settleMs ?? 30_000);
    let found = await this.leaks();
    while (found.length > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      found = await this.leaks();
    }
    if (found.length > 0) throw new Error(`left behind:\n${found.join('\n')}`);
  }

  #counts(line: string): boolean {
    return this.#options.tokens?.some((token) => line.includes(token)) ?? true;
  }
}

async function snapshot(kinds: readonly LeakKind[]): Promise<Map<LeakKind, Set<string>>> {
  const entries = await Promise.all(kinds.map(async (kind) => [kind, new Set(await readers[kind]())] as const));
  return new Map(entries);
}

async function mountLines(): Promise<string[]> {
  return nonEmptyLines(await readFile('/proc/self/mountinfo', 'utf8'));
}

function mountPoint(line: string): string {
  const fields = line.split(' ');
  return `${fields[4] ?? ''} ${line.slice(line.indexOf(' - ') + 3)}`;
}

async function linkLines(): Promise<string[]> {
  const result = await tryHostProgram(['ip', '-j', 'link', 'show']);
  if (!programSucceeded(result)) return [];
  const links = JSON.parse(result.stdout.toString('utf8')) as Array<{ ifname: string; master?: string }>;
  return links.map((link) => (link.master === undefined ? link.ifname : `${link.ifname} master ${link.master}`));
}

async function iptablesLines(): Promise<string[]> {
  const outputs = await Promise.all([programLines(['iptables-save']), programLines(['ip6tables-save'])]);
  const families = ['ip', 'ip6'] as const;
  return outputs.flatMap((lines, index) => {
    let table = '';
    return lines.flatMap((line) => {
      if (line.startsWith('*')) table = line.slice(1);
      const rule = line.replace(/ ?\[\d+:\d+\]/, '');
      return line.startsWith('-') || line.startsWith(':') ? [`${families[index] ?? ''} ${table} ${rule}`] : [];
    });
  });
}

async function cgroupFolders(): Promise<string[]> {
  const result = await tryHostProgram(['find', '/sys/fs/cgroup', '-mindepth', '2', '-type', 'd']);
  return nonEmptyLines(result.stdout.toString('utf8'));
}

async function processLines(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const lines = await Promise.all(pids.map((pid) => processLine(pid)));
  return lines.filter((line) => line !== undefined);
}

/** Undefined for a process that went while we looked, for kernel threads, and for the readers' own children. */
async function processLine(pid: string): Promise<string | undefined> {
  try {
    const [command, stat] = await Promise.all([
      readFile(join('/proc', pid, 'cmdline'), 'utf8'),
      readFile(join('/proc', pid, 'stat'), 'utf8'),
    ]);
    const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (afterName[0] === 'Z' && Number(afterName[1]) !== process.pid) return undefined;
    if (command === '') return undefined;
    const words = command.replaceAll('\0', ' ').trim();
    if (Number(afterName[1]) === process.pid && /^(iptables-save|ip6tables-save|nft|ip|find) /.test(`${words} `))
      return undefined;
    const netns = await readlink(join('/proc', pid, 'ns', 'net'));
    return `${pid} ${words} ${netns}`;
  } catch {
    return undefined;
  }
}

async function listenerLines(): Promise<string[]> {
  return (await programLines(['ss', '-Hlntux'])).map((line) => line.replaceAll(/\s+/g, ' '));
}

async function programLines(argv: readonly [string, ...string[]]): Promise<string[]> {
  const result = await tryHostProgram(argv);
  return programSucceeded(result) ? nonEmptyLines(result.stdout.toString('utf8')) : [];
}

function nonEmptyLines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}
