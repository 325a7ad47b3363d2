import { opendir } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { errnoOf } from '../../../base/errors.js';
import { Pinned } from './pinned.js';

/** Each level holds a descriptor. */
const deepest = 200;

export interface TreeVisitor {
  /** Files, links and folders, a folder after what it holds; the root comes last. `entry` is held while this runs. */
  visit(entry: Pinned, info: Stats): Promise<void>;
  /** What could not be looked at; the walk goes on. */
  skipped(name: string, reason: string): void;
}

/** Visits all of a tree by inode, without following links or leaving the file system. */
export async function walkTree(root: string, visitor: TreeVisitor, signal: AbortSignal): Promise<void> {
  const top = await Pinned.open(root);
  try {
    const info = await top.stat();
    await visitFolder(top, info, info.dev, visitor, 0, signal);
  } finally {
    await top.close();
  }
}

async function visitFolder(
  folder: Pinned,
  info: Stats,
  device: number,
  visitor: TreeVisitor,
  depth: number,
  signal: AbortSignal,
): Promise<void> {
  if (info.isDirectory()) {
    if (depth > deepest) visitor.skipped('', `folders nested more than ${deepest} deep`);
    else {
      for await (const { name } of await opendir(folder.path, { bufferSize: 128 })) {
        signal.throwIfAborted();
        await visitEntry(folder, name, device, visitor, depth, signal);
      }
    }
  }
  await visitor.visit(folder, info);
}

async function visitEntry(
  folder: Pinned,
  name: string,
  device: number,
  visitor: TreeVisitor,
  depth: number,
  signal: AbortSignal,
): Promise<void> {
  let entry: Pinned;
  try {
    entry = await folder.child(name);
  } catch (err) {
    if (errnoOf(err) !== 'ENOENT') visitor.skipped(name, errnoOf(err) ?? String(err));
    return;
  }
  try {
    const info = await entry.stat();
    if (info.dev === device) await visitFolder(entry, info, device, visitor, depth + 1, signal);
  } finally {
    await entry.close();
  }
}
