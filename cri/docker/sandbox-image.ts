import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeEnd, programSucceeded, type RunProgram } from '../../base/run-program.js';
import { criError, isCriCode } from '../contract/cri-error.js';
import type { DockerApi } from './docker-api.js';

export const defaultSandboxProgram = '/bin/busybox';

/**
 * What the first process of a sandbox does: nothing, until it is told to go. The shell also reaps, for pods that share their
 * processes.
 */
export const sandboxCommand: readonly string[] = [
  '/busybox',
  'sh',
  '-c',
  'trap "exit 0" TERM INT; while :; do /busybox sleep 1000000 & wait $!; done',
];

/**
 * Docker keeps namespaces alive only through a container, and a container needs an image. It is made here from a static busybox,
 * named after its content, and made again when it is missing: no registry is asked.
 */
export async function ensureSandboxImage(
  api: DockerApi,
  program: string,
  run: RunProgram,
  signal: AbortSignal,
): Promise<string> {
  const content = await readFile(program).catch((err: unknown) => {
    throw criError(
      'failed-precondition',
      `make the sandbox image: ${program} cannot be read; install busybox-static`,
      err,
    );
  });
  const tag = createHash('sha256').update(content).digest('hex').slice(0, 12);
  const name = `berth.internal/sandbox:${tag}`;
  try {
    await api.call({ method: 'GET', path: `/images/${name}/json`, verb: `look for image ${name}` }, signal);
    return name;
  } catch (err) {
    if (!isCriCode(err, 'not-found')) throw err;
  }
  const folder = await mkdtemp(join(tmpdir(), 'berth-sandbox-image-'));
  try {
    await mkdir(join(folder, 'root'));
    await copyFile(program, join(folder, 'root', 'busybox'));
    const archive = join(folder, 'root.tar');
    const tar = [
      'tar',
      '--numeric-owner',
      '--owner=0',
      '--group=0',
      '--mtime=@0',
      '-C',
      join(folder, 'root'),
      '-cf',
      archive,
      '.',
    ];
    const packed = await run(
      { argv: tar as [string, ...string[]], env: { PATH: '/usr/bin:/bin' }, timeoutMs: 30_000 },
      signal,
    );
    if (!programSucceeded(packed)) throw criError('internal', `make the sandbox image: tar ${describeEnd(packed)}`);
    const progress = await api.upload(
      {
        method: 'POST',
        path: '/images/create',
        query: { fromSrc: '-', repo: name.split(':')[0], tag },
        verb: 'import the sandbox image',
      },
      createReadStream(archive),
      signal,
    );
    for await (const chunk of progress) void chunk;
    return name;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
