import { lack, note, ok, type Finding } from './finding.js';
import type { Host } from './host.js';

interface Wanted {
  readonly name: string;
  readonly paths: readonly string[];
  readonly debianPackage: string;
  readonly version?: readonly string[];
  /** What cannot be done without it, when pods can be run all the same. */
  readonly only?: string;
}

const inPath = (name: string): string[] =>
  ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].map((dir) => `${dir}/${name}`);

const programs: readonly Wanted[] = [
  { name: 'conmon', paths: ['/usr/bin/conmon'], debianPackage: 'conmon', version: ['--version'] },
  { name: 'skopeo', paths: inPath('skopeo'), debianPackage: 'skopeo', version: ['--version'] },
  { name: 'tar', paths: inPath('tar'), debianPackage: 'tar' },
  { name: 'mount', paths: inPath('mount'), debianPackage: 'mount' },
  { name: 'unshare', paths: inPath('unshare'), debianPackage: 'util-linux' },
  { name: 'nsenter', paths: inPath('nsenter'), debianPackage: 'util-linux' },
  { name: 'ip', paths: inPath('ip'), debianPackage: 'iproute2' },
  {
    name: 'iptables',
    paths: inPath('iptables'),
    debianPackage: 'iptables',
    version: ['--version'],
    only: 'host ports and masquerading',
  },
  {
    name: 'socat',
    paths: inPath('socat'),
    debianPackage: 'socat',
    only: 'port-forward, attach with input, and systemd notification',
  },
  { name: 'zstd', paths: inPath('zstd'), debianPackage: 'zstd', only: 'images with zstd layers' },
  {
    name: 'catatonit',
    paths: inPath('catatonit'),
    debianPackage: 'catatonit',
    only: 'pods with shareProcessNamespace',
  },
];

/** The programs the agent starts. crun or runc must be there; one of them is enough. */
export async function checkPrograms(host: Host): Promise<Finding[]> {
  const findings = await Promise.all(programs.map((wanted) => checkProgram(wanted, host)));
  return [await checkOciRuntime(host), ...findings, await checkSeccomp(host)];
}

async function checkProgram({ name, paths, debianPackage, version, only }: Wanted, host: Host): Promise<Finding> {
  const path = await host.executable(paths);
  const install = `apt-get install ${debianPackage}`;
  if (path === undefined)
    return only === undefined
      ? lack(name, 'not installed', install)
      : note(name, `not installed; without it there are no ${only}`, install);
  if (!version) return ok(name, path);
  const words = await host.firstLine([path, ...version]);
  return words === undefined
    ? lack(name, `${path} cannot be run`, `apt-get install --reinstall ${debianPackage}`)
    : ok(name, `${path} (${words})`);
}

async function checkOciRuntime(host: Host): Promise<Finding> {
  const found: string[] = [];
  for (const [name, path] of [
    ['crun', '/usr/bin/crun'],
    ['runc', '/usr/sbin/runc'],
  ] as const) {
    if ((await host.executable([path])) === undefined) continue;
    const words = await host.firstLine([path, '--version']);
    if (words !== undefined) found.push(`${path} (${words.replace(`${name} version `, '')})`);
  }
  const subject = 'OCI runtime';
  if (found.length === 0) return lack(subject, 'neither crun nor runc', 'apt-get install crun');
  return found.some((each) => each.includes('crun'))
    ? ok(subject, found.join(', '))
    : note(subject, `${found.join(', ')}; crun starts containers in less time`, 'apt-get install crun');
}

async function checkSeccomp(host: Host): Promise<Finding> {
  const path = '/usr/share/containers/seccomp.json';
  const text = await host.read(path);
  if (text !== undefined) return ok('seccomp profile', path);
  return note(
    'seccomp profile',
    `${path} is missing; pods with seccompProfile RuntimeDefault cannot run`,
    'apt-get install golang-github-containers-common',
  );
}
