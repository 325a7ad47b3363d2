import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runProgram } from '../../base/run-program.js';
import {
  makeBusyboxRootfs,
  makeImageArchive,
  type BusyboxRootfsOptions,
  type ImageConfig,
  type MakeImageOptions,
} from '../../cri/embedded/images/index.js';

export interface BusyboxImageOptions {
  /** The archive to write. */
  readonly path: string;
  /** Default `docker.io/library/busybox:latest`. */
  readonly reference?: string | undefined;
  readonly files?: BusyboxRootfsOptions['files'];
  readonly config?: Partial<ImageConfig> | undefined;
  readonly format?: MakeImageOptions['format'];
}

/** Makes a busybox image archive; the same options make the same image id. Returns its id. */
export async function makeBusyboxImage(options: BusyboxImageOptions): Promise<string> {
  const { signal } = new AbortController();
  const rootfs = await mkdtemp(join(tmpdir(), 'berth-busybox-'));
  try {
    await makeBusyboxRootfs(rootfs, { files: options.files }, { run: runProgram }, signal);
    await mkdir(dirname(options.path), { recursive: true });
    const made = await makeImageArchive(
      {
        path: options.path,
        reference: options.reference ?? 'docker.io/library/busybox:latest',
        layers: [{ rootfs }],
        config: {
          env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
          cmd: ['sh'],
          ...options.config,
        },
        format: options.format,
      },
      { run: runProgram },
      signal,
    );
    return made.id;
  } finally {
    await rm(rootfs, { recursive: true, force: true });
  }
}
