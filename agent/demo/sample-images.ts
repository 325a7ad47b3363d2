import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeEnd, programSucceeded, type RunProgram } from '../../base/run-program.js';
import {
  makeBusyboxRootfs,
  makeImageArchive,
  type ImageStore,
  type MakeImageOptions,
} from '../../cri/embedded/images/index.js';

const samples = {
  busybox: 'localhost/berth-samples/busybox:1',
  webArchive: 'localhost/berth-samples/web-archive:1',
} as const;

const page = `<!doctype html>
<title>berth</title>
<h1>It runs</h1>
<p>An init container unpacked this page; the container that serves it started after that.</p>
`;

/** Makes the images of the sample manifests from this machine's busybox, so that they work without a registry. Once. */
export async function makeSampleImages(
  store: ImageStore,
  workDir: string,
  deps: { readonly run: RunProgram },
  signal: AbortSignal,
): Promise<void> {
  if (Object.values(samples).every((reference) => store.find(reference))) return;
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  const work = await mkdtemp(join(workDir, 'samples-'));
  try {
    for (const { path, reference } of await writeSampleArchives(work, deps, signal))
      await store.importArchive(path, { reference }, signal);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

export interface SampleArchive {
  readonly path: string;
  readonly reference: string;
}

/** The same images as archives in a folder, for runtimes that keep images themselves. */
export async function writeSampleArchives(
  folder: string,
  deps: { readonly run: RunProgram; readonly format?: MakeImageOptions['format'] },
  signal: AbortSignal,
): Promise<readonly SampleArchive[]> {
  const base = join(folder, 'busybox');
  await makeBusyboxRootfs(base, {}, deps, signal);
  const archive = join(folder, 'archive');
  await makeSiteArchive(archive, deps, signal);
  const write = async (name: string, reference: string, rootfs: readonly string[]): Promise<SampleArchive> => {
    const path = join(folder, `${name}.tar`);
    const layers = rootfs.map((each) => ({ rootfs: each }));
    const config = { cmd: ['sh'], env: ['PATH=/bin:/usr/bin'] };
    await makeImageArchive({ path, reference, layers, config, format: deps.format }, deps, signal);
    return { path, reference };
  };
  return [await write('busybox', samples.busybox, [base]), await write('web', samples.webArchive, [base, archive])];
}

/** A layer that holds `/archive/site.tar`. */
async function makeSiteArchive(
  layer: string,
  { run }: { readonly run: RunProgram },
  signal: AbortSignal,
): Promise<void> {
  const site = join(layer, 'site');
  await mkdir(join(layer, 'archive'), { recursive: true });
  await mkdir(site);
  await writeFile(join(site, 'index.html'), page);
  const argv = ['tar', '-C', site, '-cf', join(layer, 'archive', 'site.tar'), '.'] as const;
  const result = await run({ argv: [...argv], env: { PATH: '/usr/bin:/bin' }, timeoutMs: 30_000 }, signal);
  if (!programSucceeded(result)) throw new Error(`make the sample web archive: tar ${describeEnd(result)}`);
  await rm(site, { recursive: true });
}
