// Brings a checkout to where its programs can run: npm packages, Debian packages, the compiled code. Looks first and does nothing
// twice. Plain JavaScript without packages, because it is what installs them.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const packages = JSON.parse(readFileSync(join(root, 'setup', 'debian-packages.json'), 'utf8'));
const leastNode = [20, 19];

/** Kinds: `run` for the agent, `sample` for the sample images, `test` for the suites. */
export function prepare(kinds) {
  checkNode();
  installNpmPackages();
  installDebianPackages([...new Set(kinds.flatMap((kind) => packages[kind]))]);
  mountHugetlb();
  build();
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < leastNode[0] || (major === leastNode[0] && minor < leastNode[1])) {
    fail(`Node.js ${leastNode.join('.')} or later is needed; this is ${process.versions.node}.`);
  }
}

/** The lock file decides: the same lock is never installed twice. */
export function installNpmPackages() {
  const stamp = join(root, 'node_modules', '.cache', 'berth', 'lock');
  const lockFile = join(root, 'package-lock.json');
  const lock = createHash('sha256').update(readFileSync(lockFile)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  say('installing npm packages');
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

function installDebianPackages(wanted) {
  const missing = wanted.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  if (!existsSync('/usr/bin/apt-get')) {
    fail(
      `these programs are missing and this is not Debian: install what ${missing.join(', ')} hold, then start again.`,
    );
  }
  if (process.getuid() !== 0) fail(`as root: apt-get install ${missing.join(' ')}`);
  say(`installing Debian packages: ${missing.join(' ')}`);
  run('apt-get', ['update', '-qq']);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], {
    DEBIAN_FRONTEND: 'noninteractive',
  });
}

function isInstalled(name) {
  const answer = spawnSync('dpkg-query', ['-W', '-f=${db:Status-Status}', name], { encoding: 'utf8' });
  return answer.stdout === 'installed';
}

/**
 * crun takes a machine for cgroup v1 only when no v2 hierarchy holds a controller; on hybrid machines hugetlb is often the one left
 * there. Mounted as a v1 hierarchy of its own it is out of the way.
 */
function mountHugetlb() {
  if (process.getuid() !== 0 || !existsSync('/sys/fs/cgroup/unified/cgroup.controllers')) return;
  if (existsSync('/sys/fs/cgroup/hugetlb/cgroup.procs')) return;
  const held = readFileSync('/sys/fs/cgroup/unified/cgroup.controllers', 'utf8').trim();
  // Held by no hierarchy at all, or by a v1 one that somebody unmounted: crun looks for the mount either way.
  if (held !== 'hugetlb' && !(held === '' && /^hugetlb\t/m.test(readFileSync('/proc/cgroups', 'utf8')))) return;
  say('mounting the hugetlb cgroup controller as v1, as all others on this machine are');
  mkdirSync('/sys/fs/cgroup/hugetlb', { recursive: true });
  run('mount', ['-t', 'cgroup', '-o', 'hugetlb', 'cgroup', '/sys/fs/cgroup/hugetlb']);
}

function build() {
  const compiled = join(root, 'dist', '.tsbuildinfo');
  const builtAt = existsSync(compiled) ? statSync(compiled).mtimeMs : 0;
  const sources = ['base', 'proto', 'cri', 'cni', 'csi', 'deviceplugin', 'agent'];
  if (builtAt > newest([...sources, 'tsconfig.json', 'tsconfig.build.json'].map((name) => join(root, name)))) return;
  say('compiling');
  run('npm', ['run', '--silent', 'build']);
}

function newest(paths) {
  let latest = 0;
  for (const path of paths) {
    const info = statSync(path);
    latest = Math.max(latest, info.mtimeMs);
    if (info.isDirectory()) latest = Math.max(latest, newest(readdirSync(path).map((name) => join(path, name))));
  }
  return latest;
}

function run(program, args, env = {}) {
  try {
    execFileSync(program, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    });
  } catch (err) {
    fail(`${program} ${args.join(' ')}: ${err.message}`);
  }
}

function say(what) {
  console.error(`berth: ${what}`);
}

function fail(why) {
  console.error(`berth: ${why}`);
  process.exit(1);
}
