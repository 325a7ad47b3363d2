import { describeEnd, programSucceeded, type ProgramResult, type RunProgram } from '../base/run-program.js';
import { CniError } from './failure.js';
import type { PluginConfig } from './network-config.js';

export interface SweepDeps {
  readonly run: RunProgram;
  readonly path: string;
}

/** The plugins that read the addresses to unmask from the interface inside the namespace, and from nowhere else. */
const masqueradingTypes = new Set(['bridge', 'ptp']);

export function leavesMasquerade(plugins: readonly PluginConfig[]): boolean {
  return plugins.some((plugin) => masqueradingTypes.has(plugin.type) && plugin.config['ipMasq'] === true);
}

/**
 * Removes the masquerading rules that `bridge` and `ptp` made in a network for containers that `stale` names. Those plugins (1.1 to
 * 1.9 at least) remove theirs only while the interface is in its namespace with its address: DEL after it went succeeds and
 * leaves one chain behind for each pod, for ever, and their GC does not look at them. Every rule of theirs says in a comment
 * for whom it is.
 */
export async function sweepMasquerade(
  network: string,
  stale: (containerId: string) => boolean,
  deps: SweepDeps,
  signal: AbortSignal,
): Promise<void> {
  for (const program of ['iptables', 'ip6tables'] as const) {
    const listed = await run([program, '-w', '10', '-t', 'nat', '-S'], undefined, deps, signal);
    // No program, no table in this kernel: nothing can have been left in it.
    const script = programSucceeded(listed)
      ? iptablesScript(listed.stdout.toString('utf8'), network, stale)
      : undefined;
    if (script === undefined) continue;
    expectSuccess(await run([`${program}-restore`, '-w', '10', '--noflush'], script, deps, signal));
  }
  const table = ['inet', 'cni_plugins_masquerade', 'masq_checks'] as const;
  const listed = await run(['nft', '-a', 'list', 'chain', ...table], undefined, deps, signal);
  if (!programSucceeded(listed)) return;
  for (const handle of nftablesHandles(listed.stdout.toString('utf8'), network, stale)) {
    expectSuccess(await run(['nft', 'delete', 'rule', ...table, 'handle', handle], undefined, deps, signal));
  }
}

/** What to feed to `iptables-restore --noflush`, from the output of `iptables -t nat -S`; undefined when nothing is stale. */
export function iptablesScript(
  rules: string,
  network: string,
  stale: (containerId: string) => boolean,
): string | undefined {
  const lines = rules.split('\n');
  const chains = new Set<string>();
  for (const line of lines) {
    const [, name, id] = /--comment "name: \\"([^"\\]+)\\" id: \\"([^"\\]+)\\""/.exec(line) ?? [];
    if (name !== network || id === undefined || !stale(id)) continue;
    for (const word of line.split(' ')) if (/^CNI-[0-9a-f]{24}$/.test(word)) chains.add(word);
  }
  if (chains.size === 0) return undefined;
  const jumps = lines.filter((line) => {
    const words = line.split(' ');
    return words[0] === '-A' && !chains.has(words[1] ?? '') && words.some((word) => chains.has(word));
  });
  return [
    '*nat',
    ...jumps.map((line) => `-D ${line.slice(3)}`),
    ...[...chains].flatMap((chain) => [`-F ${chain}`, `-X ${chain}`]),
    'COMMIT',
    '',
  ].join('\n');
}

/** Handles of stale rules in the output of `nft -a list chain`. */
export function nftablesHandles(rules: string, network: string, stale: (containerId: string) => boolean): string[] {
  return rules.split('\n').flatMap((line) => {
    const [, name, id, handle] =
      /comment "[^"]*, net: ([^",]+), if: [^",]+, id: ([^",]+)".* # handle (\d+)$/.exec(line) ?? [];
    return name === network && id !== undefined && handle !== undefined && stale(id) ? [handle] : [];
  });
}

async function run(
  argv: readonly [string, ...string[]],
  stdin: string | undefined,
  deps: SweepDeps,
  signal: AbortSignal,
): Promise<ProgramResult> {
  const input = stdin === undefined ? {} : { stdin };
  const limits = { timeoutMs: 15_000, maxOutputBytes: 32 * 1024 * 1024 };
  return await deps.run({ argv, env: { PATH: deps.path, LC_ALL: 'C' }, ...input, ...limits }, signal);
}

function expectSuccess(result: ProgramResult): void {
  if (programSucceeded(result)) return;
  const program = result.argv[0] ?? '';
  const exitCode = result.end.kind === 'exited' ? result.end.code : null;
  throw new CniError(`sweep masquerading rules: ${program} ${describeEnd(result)}`, {
    code: 'crashed',
    plugin: program,
    verb: 'DEL',
    exitCode,
  });
}
