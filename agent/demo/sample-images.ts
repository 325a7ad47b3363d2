import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeEnd, programSucceeded, type RunProgram } from '../../base/run-program.js';
import { makeBusyboxRootfs, makeImageArchive, type ImageStore } from '../../cri/embedded/images/index.js';

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
    const base = join(work, 'busybox');
    await makeBusyboxRootfs(base, {}, deps, signal);
    await importImage(store, join(work, 'busybox.tar'), samples.busybox, [base], deps, signal);
    const archive = join(work, 'archive');
    await makeSiteArchive(archive, deps, signal);
    await importImage(store, join(work, 'web.tar'), samples.webArchive, [base, archive], deps, signal);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function importImage(
  store: ImageStore,
  path: string,
  reference: string,
  rootfs: readonly string[],
  deps: { readonly run: RunProgram },
  signal: AbortSignal,
): Promise<void> {
  const layers = rootfs.map((folder) => ({ rootfs: folder }));
  await makeImageArchive(
    { path, reference, layers, config: { cmd: ['sh'], env: ['PATH=/bin:/usr/bin'] } },
    deps,
    signal,
  );
  await store.importArchive(path, { reference }, signal);
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
