// Runs berth on a machine with cgroup v2 only: `node test/cgroup2/run.mjs [cgroupfs|systemd]...`. The machine is a qemu guest with the kernel of
// Debian and the files of this one, read-only, so what runs there is what is installed and compiled here. Takes some minutes without
// /dev/kvm. BERTH_TEST_DIST names another compiled tree, BERTH_GUEST_ACCEL another accelerator than tcg.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');
const root = join(here, '../..');
const dist = process.env.BERTH_TEST_DIST ?? join(root, 'dist');
const cache = join(root, 'node_modules/.cache/berth/guest-kernel');
const limitMs = 25 * 60_000;
/** What the guest's root is reached with, in the order in which each needs those before it. */
const rootModules = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];

function run(program, args, options = {}) {
  const { status, stdout, error } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (error ?? status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? `exited with ${status}`}`);
  return stdout ?? '';
}

function requirePrograms() {
  const needed = {
    'qemu-system-x86_64': 'qemu-system-x86',
    depmod: 'kmod',
    'dpkg-deb': 'dpkg',
    '/bin/busybox': 'busybox-static',
  };
  const missing = Object.keys(needed).filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  if (missing.length === 0) return;
  const packages = missing.map((name) => needed[name]).join(' ');
  throw new Error(`${missing.join(', ')}: not here; apt-get install --no-install-recommends ${packages}`);
}

/** Debian's kernel for any machine, unpacked beside other things that are made once. */
function fetchKernel() {
  const found = existsSync(cache)
    ? readdirSync(cache).find((name) => existsSync(join(cache, name, 'ready')))
    : undefined;
  if (found !== undefined) return join(cache, found);
  const name = /Depends: (linux-image-\S+)/.exec(run('apt-cache', ['depends', 'linux-image-amd64']))?.[1];
  if (name === undefined) throw new Error('apt knows no linux-image-amd64');
  const folder = join(cache, name);
  mkdirSync(folder, { recursive: true });
  console.log(`downloading ${name}`);
  run('apt-get', ['download', name], { cwd: folder, stdio: 'ignore' });
  const archive = readdirSync(folder).find((file) => file.endsWith('.deb'));
  run('dpkg-deb', ['-x', join(folder, archive), folder]);
  rmSync(join(folder, archive));
  run('depmod', ['-b', folder, versionOf(folder)]);
  writeFileSync(join(folder, 'ready'), '');
  return folder;
}

const versionOf = (kernel) => readdirSync(join(kernel, 'lib/modules'))[0];

/** Files of the modules with all they need, each after what it needs. */
function moduleFiles(kernel) {
  const folder = join(kernel, 'lib/modules', versionOf(kernel));
  const needs = new Map(
    readFileSync(join(folder, 'modules.dep'), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => [
        line.slice(0, line.indexOf(':')),
        line
          .slice(line.indexOf(':') + 1)
          .trim()
          .split(/\s+/)
          .filter(Boolean),
      ]),
  );
  const byName = new Map([...needs.keys()].map((path) => [basename(path).split('.')[0].replaceAll('-', '_'), path]));
  const files = [];
  for (const name of rootModules) {
    const path = byName.get(name);
    // Not every kernel has it as a module.
    if (path === undefined) continue;
    for (const file of [...needs.get(path).toReversed(), path]) if (!files.includes(file)) files.push(file);
  }
  return files.map((file) => join(folder, file));
}

function makeInitramfs(folder, kernel) {
  const tree = join(folder, 'initramfs');
  mkdirSync(join(tree, 'bin'), { recursive: true });
  mkdirSync(join(tree, 'modules'));
  cpSync('/bin/busybox', join(tree, 'bin/busybox'), { dereference: true });
  cpSync(join(here, 'guest-init.sh'), join(tree, 'init'));
  const modules = moduleFiles(kernel);
  for (const file of modules) cpSync(file, join(tree, 'modules', basename(file)));
  writeFileSync(join(tree, 'modules/order'), modules.map((file) => `${basename(file)}\n`).join(''));
  const path = join(folder, 'initramfs.cpio');
  run('sh', ['-c', `cd "$0" && chmod 755 init && find . | /bin/busybox cpio -o -H newc > "$1"`, tree, path]);
  return path;
}

async function boot(init, kernel, initramfs) {
  const words = { checks: here, dist, init, kernel, node: process.execPath };
  const settings = Object.entries(words).map(([name, value]) => `berth.${name}=${value}`);
  const accelerator = process.env.BERTH_GUEST_ACCEL ?? 'tcg,thread=multi';
  const cpu = accelerator.startsWith('kvm') ? 'host' : 'max';
  const image = readdirSync(join(kernel, 'boot')).find((name) => name.startsWith('vmlinuz'));
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ...[
        '-accel',
        accelerator,
        '-cpu',
        cpu,
        '-smp',
        '2',
        '-m',
        '2048',
        '-no-reboot',
        '-nodefaults',
        '-display',
        'none',
      ],
      ...['-serial', 'stdio', '-kernel', join(kernel, 'boot', image), '-initrd', initramfs],
      ...[
        '-append',
        `console=ttyS0 quiet panic=-1 cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1 ${settings.join(' ')}`,
      ],
      ...['-fsdev', 'local,id=host,path=/,security_model=none,readonly=on,multidevs=remap'],
      ...['-device', 'virtio-9p-pci,fsdev=host,mount_tag=host'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let text = '';
  qemu.stdout.setEncoding('utf8').on('data', (piece) => {
    text += piece;
    process.stdout.write(piece);
  });
  const timer = setTimeout(() => {
    console.log(`no end within ${limitMs / 60_000} minutes`);
    qemu.kill('SIGKILL');
  }, limitMs);
  await new Promise((resolve) => qemu.once('exit', resolve));
  clearTimeout(timer);
  return text.includes('GUEST: passed');
}

requirePrograms();
const kernel = fetchKernel();
const folder = mkdtempSync(join(tmpdir(), 'berth-cgroup2-'));
let passed = true;
try {
  const initramfs = makeInitramfs(folder, kernel);
  const drivers = process.argv.slice(2);
  for (const driver of drivers.length > 0 ? drivers : ['cgroupfs', 'systemd']) {
    console.log(`--- cgroup v2, ${driver} driver, ${basename(kernel)}`);
    const started = performance.now();
    const good = await boot(driver, kernel, initramfs);
    passed &&= good;
    console.log(
      `--- ${driver}: ${good ? 'passed' : 'FAILED'} in ${Math.round((performance.now() - started) / 1000)} s`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(passed ? 0 : 1);
