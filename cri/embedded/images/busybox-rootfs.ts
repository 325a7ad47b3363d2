import { access, chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeEnd, programSucceeded, type RunProgram } from '../../../base/run-program.js';
import { imageError } from './image-error.js';

export interface BusyboxRootfsOptions {
  /** A busybox without shared libraries. Default `/bin/busybox`, as of Debian's busybox-static. */
  readonly busybox?: string | undefined;
  /** More files by absolute path, or others than the usual ones. Mode 0644 when absent. */
  readonly files?:
    Readonly<Record<string, string | { readonly content: string | Uint8Array; readonly mode: number }>> | undefined;
}

const usualFiles: NonNullable<BusyboxRootfsOptions['files']> = {
  '/etc/passwd':
    'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nwww:x:1000:1000:www:/home/www:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  '/etc/group': 'root:x:0:\ndaemon:x:1:\nwww:x:1000:\nnogroup:x:65534:\n',
  '/etc/nsswitch.conf': 'hosts: files dns\n',
};

const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/** Fills an empty folder with a root file system that has busybox, a link for each of its applets, and the usual users. */
export async function makeBusyboxRootfs(
  rootfs: string,
  options: BusyboxRootfsOptions,
  deps: { readonly run: RunProgram },
  signal: AbortSignal,
): Promise<void> {
  const busybox = options.busybox ?? '/bin/busybox';
  await access(busybox).catch((err: unknown) => {
    throw imageError(
      'program-missing',
      `make busybox image: ${busybox} is not there (Debian package busybox-static)`,
      err,
    );
  });
  const listed = await deps.run({ argv: [busybox, '--list'], env, timeoutMs: 10_000 }, signal);
  if (!programSucceeded(listed))
    throw imageError('failed', `make busybox image: ${busybox} --list ${describeEnd(listed)}`);
  const bin = join(rootfs, 'bin');
  await mkdir(bin, { recursive: true });
  await copyFile(busybox, join(bin, 'busybox'));
  await chmod(join(bin, 'busybox'), 0o755);
  const applets = listed.stdout
    .toString('utf8')
    .split('\n')
    .filter((name) => /^[\w[.-]+$/.test(name) && name !== 'busybox');
  await Promise.all(applets.map(async (name) => symlink('busybox', join(bin, name))));
  for (const folder of ['dev', 'etc', 'home', 'proc', 'root', 'run', 'sys', 'tmp', 'usr', 'var']) {
    await mkdir(join(rootfs, folder), { recursive: true });
  }
  await symlink('../bin', join(rootfs, 'usr', 'bin'));
  await symlink('bin', join(rootfs, 'sbin'));
  for (const [path, file] of Object.entries({ ...usualFiles, ...options.files })) {
    const { content, mode } =
      typeof file === 'string' || file instanceof Uint8Array ? { content: file, mode: 0o644 } : file;
    const target = join(rootfs, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, content);
    await chmod(target, mode);
  }
  await chmod(join(rootfs, 'root'), 0o700);
  await chmod(join(rootfs, 'tmp'), 0o1777);
  await chmod(rootfs, 0o755);
}
