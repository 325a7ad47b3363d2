import { checkCgroups } from './check-cgroups.js';
import { checkKernel } from './check-kernel.js';
import { checkMachine, type MachinePlaces } from './check-machine.js';
import { checkNetwork, type NetworkPlaces } from './check-network.js';
import { checkPrograms } from './check-programs.js';
import type { Finding } from './finding.js';
import type { Host } from './host.js';

export interface CheckGroup {
  readonly title: string;
  readonly findings: readonly Finding[];
}

/** Everything a node needs, looked at once. Nothing is changed. */
export async function checkHost(host: Host, places: MachinePlaces & NetworkPlaces): Promise<CheckGroup[]> {
  const [kernel, cgroups, programs, network, machine] = await Promise.all([
    checkKernel(host),
    checkCgroups(host),
    checkPrograms(host),
    checkNetwork(host, places),
    checkMachine(host, places),
  ]);
  return [
    { title: 'Kernel', findings: [...kernel, ...cgroups] },
    { title: 'Programs', findings: programs },
    { title: 'Network', findings: network },
    { title: 'Machine', findings: machine },
  ];
}

export const hasLack = (groups: readonly CheckGroup[]): boolean =>
  groups.some(({ findings }) => findings.some(({ level }) => level === 'lack'));

const install = 'apt-get install ';

/** Debian packages that the remedies name, each once. */
export function packagesToInstall(groups: readonly CheckGroup[]): string[] {
  const remedies = groups.flatMap(({ findings }) => findings.flatMap(({ remedy }) => remedy));
  const named = remedies.filter((line) => line.startsWith(install) && !line.includes(' --'));
  return [...new Set(named.map((line) => line.slice(install.length)))];
}

const marks = { ok: '✓', note: '!', lack: '✗' } as const;

/** For a person; with `onlyTrouble`, what is well is left out. */
export function renderCheck(groups: readonly CheckGroup[], onlyTrouble = false): string {
  const parts: string[] = [];
  for (const { title, findings } of groups) {
    const shown = findings.filter(({ level }) => !onlyTrouble || level !== 'ok');
    if (shown.length === 0) continue;
    parts.push(title);
    for (const { subject, level, found, remedy } of shown) {
      parts.push(`  ${marks[level]} ${subject}: ${found}`);
      for (const line of remedy) parts.push(`      → ${line}`);
    }
  }
  return parts.length === 0 ? '' : `${parts.join('\n')}\n`;
}
