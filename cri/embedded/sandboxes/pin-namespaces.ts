import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RuntimeContext } from '../context.js';
import { mustRun } from '../host/oci-program.js';
import { pinArgv, type PinTarget } from '../host/user-namespaces.js';
import type { SandboxRecord } from '../state/records.js';
import type { Pin, SandboxEntry } from '../state/sandbox-entry.js';

type PinType = 'user' | 'net' | 'ipc' | 'uts';

/** Namespaces of its own that a sandbox has; the hostname goes with the network, as the host's network has the host's name. */
function pinTypes(record: SandboxRecord): PinType[] {
  const types: PinType[] = record.userNamespace === undefined ? [] : ['user'];
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
  const { userNamespace } = sandbox.record;
  if (userNamespace === undefined) await unshareOnto(context, sandbox.id, types, signal);
  else {
    const targets = types.map((type): PinTarget => [type, layout.namespace(sandbox.id, type)]);
    await mustRun(pinArgv(userNamespace, targets), 'pin namespaces', context.deps, signal);
  }
  sandbox.pins = readPins(context, sandbox.record);
}

async function unshareOnto(
  context: RuntimeContext,
  id: string,
  types: readonly PinType[],
  signal: AbortSignal,
): Promise<void> {
  const flags = types.map((type) => `--${type}=${context.layout.namespace(id, type)}`);
  const inside = types.includes('net') ? ['ip', 'link', 'set', 'lo', 'up'] : ['true'];
  await mustRun(['unshare', ...flags, '--', ...inside], 'pin namespaces', context.deps, signal);
}

/** The pins as they are now; fewer than there should be when one was taken away. */
export function readPins(context: RuntimeContext, record: SandboxRecord): Pin[] {
  return pinTypes(record).flatMap((type) => {
    const path = context.layout.namespace(record.id, type);
    const found = statSync(path, { throwIfNoEntry: false });
    // A pin is a file of nsfs: on another device than the folder it is mounted in.
    const isPin = found !== undefined && found.dev !== statSync(dirname(path)).dev;
    return isPin ? [{ path, dev: found.dev, ino: found.ino }] : [];
  });
}

export function pinsComplete(record: SandboxRecord, pins: readonly Pin[]): boolean {
  return pins.length === pinTypes(record).length;
}

/** False when someone has unmounted or replaced a pin since. */
export function pinsHold(pins: readonly Pin[]): boolean {
  return pins.every((pin) => {
    const found = statSync(pin.path, { throwIfNoEntry: false });
    return found !== undefined && found.dev === pin.dev && found.ino === pin.ino;
  });
}

export function pinPaths(context: RuntimeContext, id: string): string[] {
  return (['user', 'net', 'ipc', 'uts'] as const).map((type) => context.layout.namespace(id, type));
}
