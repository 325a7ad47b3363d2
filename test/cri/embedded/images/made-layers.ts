import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../../../base/run-program.js';
import { makeImageArchive, type ImageLayerSource, type StoredImage } from '../../../../cri/embedded/images/index.js';
import {
  endOfArchive,
  formatEntry,
  padding,
  type TarEntry,
} from '../../../../cri/embedded/images/layers/tar-format.js';
import { hostProgram } from '../../../support/host-program.js';
import { never, type TempStore } from './temp-store.js';

type Item = Partial<TarEntry> & { readonly path: string; readonly content?: string };

/** A tar file of exactly these entries, whatever they say. */
export function tarOf(...items: readonly Item[]): Buffer {
  const parts = items.flatMap((item) => {
    const content = Buffer.from(item.content ?? '');
    const entry: TarEntry = {
      kind: item.content === undefined ? 'dir' : 'file',
      linkPath: '',
      mode: item.content === undefined ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      mtime: '1000',
      devMajor: 0,
      devMinor: 0,
      xattrs: new Map(),
      ...item,
      size: content.length,
    };
    return [formatEntry(entry), content, padding(content.length)];
  });
  return Buffer.concat([...parts, endOfArchive]);
}

export async function importLayers(
  temp: TempStore,
  folder: string,
  layers: ReadonlyArray<Buffer | ImageLayerSource>,
): Promise<StoredImage> {
  const sources: ImageLayerSource[] = [];
  for (const [at, layer] of layers.entries()) {
    if (!Buffer.isBuffer(layer)) sources.push(layer);
    else {
      const tar = join(folder, `layer-${at}.tar`);
      await writeFile(tar, layer);
      sources.push({ tar });
    }
  }
  const path = join(folder, 'image.tar');
  await makeImageArchive({ path, reference: 'layers:1', layers: sources }, { run: runProgram }, never);
  const [image] = await temp.store.importArchive(path, {}, never);
  return image as StoredImage;
}

/** What a container would see. */
export async function merged<T>(folder: string, image: StoredImage, look: (root: string) => Promise<T>): Promise<T> {
  const dirs = { upper: join(folder, 'upper'), work: join(folder, 'work'), root: join(folder, 'merged') };
  for (const dir of Object.values(dirs)) await mkdir(dir, { recursive: true });
  const options = `lowerdir=${image.lowerDirs.join(':')},upperdir=${dirs.upper},workdir=${dirs.work}`;
  await hostProgram(['mount', '-t', 'overlay', 'overlay', '-o', options, dirs.root]);
  try {
    return await look(dirs.root);
  } finally {
    await hostProgram(['umount', dirs.root]);
  }
}

export async function tree(root: string): Promise<string[]> {
  return (await hostProgram(['find', root, '-mindepth', '1', '-printf', '%P\\n'])).split('\n').filter(Boolean).sort();
}

export function withFlag(tar: Buffer, flag: string): Buffer {
  const header = Buffer.from(tar.subarray(0, 512));
  header.write(flag, 156, 'latin1');
  header.write('        ', 148, 'latin1');
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, tar.subarray(512)]);
}

export function withByte(tar: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(tar);
  copy[at] = value;
  return copy;
}
