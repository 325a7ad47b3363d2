import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageConfig, ImageLookup, StoredImage } from '../../../cri/embedded/index.js';
import { hostProgram } from '../../support/host-program.js';

export const busyboxReference = 'localhost/busybox:test';

/** An image of one layer with the machine's static busybox, as the image store would hold it. */
export async function busyboxImage(folder: string, overrides: Partial<ImageConfig> = {}): Promise<StoredImage> {
  const layer = join(folder, 'busybox-layer');
  await mkdir(join(layer, 'bin'), { recursive: true });
  await copyFile('/bin/busybox', join(layer, 'bin/busybox'));
  const applets = (await hostProgram(['/bin/busybox', '--list'])).split('\n').filter((name) => name !== '');
  await Promise.all(
    applets.filter((name) => name !== 'busybox').map((name) => symlink('busybox', join(layer, 'bin', name))),
  );
  for (const name of ['etc', 'tmp', 'root', 'var/www', 'data']) await mkdir(join(layer, name), { recursive: true });
  await writeFile(join(layer, 'data/from-image'), 'seed\n');
  await writeFile(
    join(layer, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n',
  );
  await writeFile(join(layer, 'etc/group'), 'root:x:0:\nstaff:x:1001:\nvideo:x:44:alice\n');
  return {
    id: 'sha256:1111111111111111111111111111111111111111111111111111111111111111',
    repoTags: [busyboxReference],
    repoDigests: ['localhost/busybox@sha256:2222222222222222222222222222222222222222222222222222222222222222'],
    sizeBytes: 2_000_000,
    pinned: false,
    config: {
      user: '',
      env: ['PATH=/bin', 'FROM_IMAGE=yes'],
      entrypoint: [],
      cmd: ['sleep', '1000000'],
      workingDir: '/',
      volumes: [],
      labels: {},
      stopSignal: '',
      ...overrides,
    },
    lowerDirs: [layer],
  };
}

export function imageLookup(images: readonly StoredImage[]): ImageLookup {
  return {
    find: (reference) =>
      images.find((image) => image.id === reference || image.repoTags.includes(reference)) ??
      images.find((image) => reference.length >= 12 && image.id.startsWith(`sha256:${reference}`)),
  };
}
