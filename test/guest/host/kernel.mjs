// The guest's kernel, and the files it starts from before it sees those of the host.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run } from './run-program.mjs';

/** What the guest's root is reached with, in the order in which each needs those before it. */
const rootModules = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];

export function requirePrograms() {
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
export function fetchKernel(cache) {
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

export function kernelImage(kernel) {
  return join(
    kernel,
    'boot',
    readdirSync(join(kernel, 'boot')).find((name) => name.startsWith('vmlinuz')),
  );
}

/** Files of the modules with all they need, each after what it needs. */
function moduleFiles(kernel) {
  const folder = join(kernel, 'lib/modules', versionOf(kernel));
  const lines = readFileSync(join(folder, 'modules.dep'), 'utf8').split('\n').filter(Boolean);
  const needs = new Map(
    lines.map((line) => {
      const [path, ...others] = line.split(/:?\s+|:$/).filter(Boolean);
      return [path, others];
    }),
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

/** `environment` is what the checks find in theirs. */
export function makeInitramfs(folder, kernel, init, environment) {
  const tree = join(folder, 'initramfs');
  mkdirSync(join(tree, 'bin'), { recursive: true });
  mkdirSync(join(tree, 'modules'));
  cpSync('/bin/busybox', join(tree, 'bin/busybox'), { dereference: true });
  cpSync(init, join(tree, 'init'));
  const lines = Object.entries(environment).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(join(tree, 'environment'), lines.join(''));
  const modules = moduleFiles(kernel);
  for (const file of modules) cpSync(file, join(tree, 'modules', basename(file)));
  writeFileSync(join(tree, 'modules/order'), modules.map((file) => `${basename(file)}\n`).join(''));
  const path = join(folder, 'initramfs.cpio');
  run('sh', ['-c', `cd "$0" && chmod 755 init && find . | /bin/busybox cpio -o -H newc > "$1"`, tree, path]);
  return path;
}
