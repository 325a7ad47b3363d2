import { readdir, readFile, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { errnoOf, errorText } from '../../base/errors.js';
import { usage } from './client/index.js';

export interface ManifestText {
  readonly name: string;
  readonly text: Buffer;
}

const endings = ['.yaml', '.yml', '.json'];

/** The files named, those of folders in the order of their names, `-` for standard input. */
export async function readManifests(paths: readonly string[], recursive = false): Promise<ManifestText[]> {
  const texts: ManifestText[] = [];
  for (const path of paths) {
    if (path === '-') texts.push({ name: 'standard input', text: await readInput() });
    else for (const file of await filesOf(path, recursive)) texts.push({ name: file, text: await readFile(file) });
  }
  return texts;
}

async function filesOf(path: string, recursive: boolean): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const files = (await readdir(path, { recursive })).filter(
      (name) =>
        endings.some((ending) => name.endsWith(ending)) && !name.split(sep).some((part) => part.startsWith('.')),
    );
    if (files.length === 0) throw usage(`read ${path}: the folder has no file that ends with ${endings.join(', ')}`);
    return files.toSorted().map((name) => join(path, name));
  } catch (err) {
    if (errnoOf(err)) throw usage(`read ${path}: ${errorText(err)}`);
    throw err;
  }
}

async function readInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
