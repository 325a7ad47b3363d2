import { programSucceeded, runProgram } from '../../base/run-program.js';

/** Chains that plugins make once for a machine and leave when their last user is gone. */
interface SharedChains {
  readonly table: 'nat' | 'filter';
  /** The one that holds a rule for each user stands first. */
  readonly chains: readonly string[];
  /** Rules the plugin itself puts in; any other means that somebody uses the chains. */
  readonly own: readonly RegExp[];
}

export const portmapChains: SharedChains = {
  table: 'nat',
  chains: ['CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-SETMARK', 'CNI-HOSTPORT-MASQ'],
  own: [/^-A CNI-HOSTPORT-SETMARK .*-j MARK /, /^-A CNI-HOSTPORT-MASQ .*-j MASQUERADE$/],
};

export const firewallChains: SharedChains = {
  table: 'filter',
  chains: ['CNI-FORWARD', 'CNI-ADMIN'],
  own: [/^-A CNI-FORWARD .*-j CNI-ADMIN$/],
};

/**
 * What to delete so that no unused chain stays, in the arguments of `iptables -t TABLE`; nothing while anybody uses them. Takes the
 * output of `iptables -t TABLE -S`.
 */
export function unusedChainRemovals({ chains, own }: SharedChains, rules: string): string[][] {
  const lines = rules.split('\n').map((line) => line.trim());
  const present = chains.filter((chain) => lines.includes(`-N ${chain}`));
  const inside = lines.filter((line) => chains.some((chain) => line.startsWith(`-A ${chain} `)));
  if (present.length === 0 || inside.some((line) => !own.some((pattern) => pattern.test(line)))) return [];
  const jumps = lines.filter(
    (line) => line.startsWith('-A ') && !inside.includes(line) && present.some((chain) => line.endsWith(`-j ${chain}`)),
  );
  return [
    ...jumps.map((line) => splitArguments(line.replace(/^-A/, '-D'))),
    ...present.map((chain) => ['-F', chain]),
    ...present.map((chain) => ['-X', chain]),
  ];
}

/** Comments of rules are quoted. */
const splitArguments = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

export async function removeUnusedCniChains(signal: AbortSignal): Promise<void> {
  const options = { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }, timeoutMs: 10_000 };
  for (const program of ['iptables', 'ip6tables']) {
    for (const shared of [portmapChains, firewallChains]) {
      const listed = await runProgram({ argv: [program, '-w', '-t', shared.table, '-S'], ...options }, signal);
      if (!programSucceeded(listed)) continue;
      // What fails was changed by somebody else in the meantime: then it is in use, or gone.
      for (const removal of unusedChainRemovals(shared, listed.stdout.toString('utf8')))
        await runProgram({ argv: [program, '-w', '-t', shared.table, ...removal], ...options }, signal);
    }
  }
}
