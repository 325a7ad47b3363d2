import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { errnoOf } from '../../../base/errors.js';
import type { RuntimeContext } from '../context.js';
import { mustRun } from '../host/oci-program.js';
import type { SandboxRecord } from '../state/records.js';
import type { Pin, SandboxEntry } from '../state/sandbox-entry.js';

type PinType = 'net' | 'ipc' | 'uts';

/** Namespaces of its own that a sandbox has; the hostname goes with the network, as the host's network has the host's name. */
function pinTypes(record: SandboxRecord): PinType[] {
  const types: PinType[] = [];
  if (record.network === 'POD') types.push('net', 'uts');
  if (record.ipc === 'POD') types.push('ipc');
  return types;
}

/** Makes the namespaces and keeps them alive on files, with one program that brings the loopback up on its way. */
export async function pinNamespaces(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  signal: AbortSignal,
): Promise<void> {
  const types = pinTypes(sandbox.record);
  if (types.length === 0) return;
  const { layout } = context;
  mkdirSync(`${layout.namespaces}/${sandbox.id}`, { mode: 0o711 });
  for (const type of types) writeFileSync(layout.namespace(sandbox.id, type), '', { flag: 'wx', mode: 0o444 });
  const flags = types.map((type) => `--${type}=${layout.namespace(sandbox.id, type)}`);
  const inside = types.includes('net') ? ['ip', 'link', 'set', 'lo', 'up'] : ['true'];
  await mustRun(['unshare', ...flags, '--', ...inside], 'pin namespaces', context.deps, signal);
  sandbox.pins = readPins(context, sandbox.record);
}

/** The pins as they are now; fewer than there should be when one was taken away. */
export function readPins(context: RuntimeContext, record: SandboxRecord): Pin[] {
  return pinTypes(record).flatMap((type) => {
    const path = context.layout.namespace(record.id, type);
    const found = inodeOf(path);
    return found === undefined || found.isPlain ? [] : [{ path, dev: found.dev, ino: found.ino }];
  });
}

export function pinsComplete(record: SandboxRecord, pins: readonly Pin[]): boolean {
  return pins.length === pinTypes(record).length;
}

/** False when someone has unmounted or replaced a pin since. */
export function pinsHold(pins: readonly Pin[]): boolean {
  return pins.every((pin) => {
    const found = inodeOf(pin.path);
    return found !== undefined && found.dev === pin.dev && found.ino === pin.ino;
  });
}

/** A pin is a file of nsfs: on another device than the folder it is mounted in. */
function inodeOf(path: string): { dev: number; ino: number; isPlain: boolean } | undefined {
  try {
    const { dev, ino } = statSync(path);
    const folder = statSync(path.slice(0, path.lastIndexOf('/')));
    return { dev, ino, isPlain: dev === folder.dev };
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}

export function pinPaths(context: RuntimeContext, id: string): string[] {
  return (['net', 'ipc', 'uts'] as const).map((type) => context.layout.namespace(id, type));
}
