import { Option, type Command } from 'commander';
import { kubeletFlagNames } from '../config/kubelet/kubelet-flags.js';

/**
 * The kubelet's other flags, so that a command line made for a kubelet starts berth. They are not in the help: its configuration file says
 * the same, and who writes anew writes that.
 */
export function addKubeletFlags(command: Command): Command {
  for (const name of kubeletFlagNames) {
    const option = new Option(name === 'v' ? '-v, --v [value]' : `--${name} [value]`).hideHelp();
    command.addOption(option.argParser((value: string, before: unknown) => joined(name, value, before)));
  }
  return command;
}

/**
 * Takes the kubelet's flags out of what was parsed: they are known by their own names. An option of the agent's own with nothing in it is
 * none, as a kubelet takes it: a unit says `--hostname-override=$NAME` whether or not there is one.
 */
export function withoutKubeletFlags(parsed: Readonly<Record<string, unknown>>): {
  readonly kubelet: Readonly<Record<string, string>>;
  readonly others: Record<string, unknown>;
} {
  const names = new Map(kubeletFlagNames.map((name) => [attributeOf(name), name]));
  const kubelet: Record<string, string> = {};
  const others: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(parsed)) {
    const name = names.get(key);
    if (name !== undefined) {
      // `--fail-swap-on` alone is true.
      if (typeof value === 'string' || value === true) kubelet[name] = String(value);
    } else if (value !== '') others[key] = value;
  }
  return { kubelet, others };
}

const attributeOf = (name: string): string => name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Lists and maps may be told piece by piece; of all else the last counts. */
const byPieces =
  /^(allowed-unsafe-sysctls|cluster-dns|enforce-node-allocatable|tls-cipher-suites|.*-reserved|.*-policy-options|eviction-(hard|soft|soft-grace-period|minimum-reclaim)|manifest-url-header)$/;

function joined(name: string, value: string, before: unknown): string {
  // `-v=4`.
  const text = name === 'v' ? value.replace(/^=/, '') : value;
  if (typeof before !== 'string') return text;
  if (name === 'reserved-memory') return `${before};${text}`;
  return byPieces.test(name) ? `${before},${text}` : text;
}
