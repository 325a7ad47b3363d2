import { watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import type { Gpu, GpuSet } from './gpu.js';

/** Ids of GPUs that are not well: listed in the control file, one a line, or without their device node. */
export async function unwellGpus(set: GpuSet, controlFile: string): Promise<ReadonlySet<string>> {
  const unwell = new Set((await textOf(controlFile)).split('\n').map((line) => line.trim()));
  for (const gpu of set.gpus) if (!(await hasNodes(gpu))) unwell.add(gpu.id);
  return unwell;
}

/** Calls `onChange` when the control file or a device node changes. */
export function watchHealth(set: GpuSet, controlFile: string, onChange: () => void): Disposable {
  const folders = new Map<string, Set<string>>();
  const paths = [controlFile, ...set.gpus.flatMap((gpu) => gpu.nodes.map((node) => node.hostPath))];
  for (const path of paths) {
    const names = folders.get(dirname(path)) ?? new Set<string>();
    folders.set(dirname(path), names.add(basename(path)));
  }
  const watchers = [...folders].map(([folder, names]) =>
    watch(folder, (_event, name) => {
      if (name === null || names.has(name)) onChange();
    }),
  );
  return {
    [Symbol.dispose]() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

async function hasNodes(gpu: Gpu): Promise<boolean> {
  const found = await Promise.all(
    gpu.nodes.map(async (node) => {
      try {
        return (await stat(node.hostPath)).isCharacterDevice();
      } catch {
        return false;
      }
    }),
  );
  return found.every((there) => there);
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return '';
    throw err;
  }
}
