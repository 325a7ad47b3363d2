// Packages of Debian that a scenario wants in the guest and that need not be installed here: their files, laid over those of this machine.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run-program.mjs';

/** Folder with the files of the packages and of all that they need and is not here; no script of theirs has run. */
export function fetchPackages(names, cache) {
  const folder = join(cache, createHash('sha256').update(names.join(' ')).digest('hex').slice(0, 16));
  if (existsSync(join(folder, 'ready'))) return join(folder, 'root');
  rmSync(folder, { recursive: true, force: true });
  const [archives, root] = ['archives', 'root'].map((name) => join(folder, name));
  mkdirSync(join(archives, 'partial'), { recursive: true });
  mkdirSync(join(root, 'usr'), { recursive: true });
  // Some packages still have their files where this machine has links.
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
    mkdirSync(join(root, 'usr', name));
    symlinkSync(`usr/${name}`, join(root, name));
  }
  console.log(`downloading ${names.join(' ')}`);
  const options = ['-y', '--no-install-recommends', '--download-only', '-o', `Dir::Cache::archives=${archives}`];
  run('apt-get', [...options, '-o', 'Debug::NoLocking=1', 'install', ...names], { stdio: 'ignore' });
  for (const file of readdirSync(archives).filter((name) => name.endsWith('.deb')))
    run('sh', [
      '-c',
      'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink -C "$1"',
      join(archives, file),
      root,
    ]);
  rmSync(archives, { recursive: true });
  writeFileSync(join(folder, 'ready'), '');
  return root;
}
