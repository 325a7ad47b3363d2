import { readFileSync } from 'node:fs';
import { errnoOf } from '../../base/errors.js';
import type { RuntimeContext } from './context.js';
import type { ContainerEntry } from './state/container-entry.js';
import type { SandboxEntry } from './state/sandbox-entry.js';

type Info = Readonly<Record<string, string>>;

/** Where containerd and CRI-O say it, and whoever enters a namespace from outside looks: in one document, `crictl inspect ID | jq .info.pid`. */
const document = (content: object): Info => ({ info: JSON.stringify(content) });

export function containerInfo({ layout }: RuntimeContext, { id, init, record }: ContainerEntry): Info {
  const runtimeSpec = readSpec(`${layout.bundle(id)}/config.json`);
  return document({ sandboxID: record.sandboxId, pid: init?.pid ?? 0, runtimeSpec, record });
}

/** The process is that of a pod that shares its own; others have none, and namespaces all the same. */
export function sandboxInfo({ initProcess, pins, record }: SandboxEntry): Info {
  const namespaces = pins.map(({ path }) => ({ type: typeOf(path), path }));
  return document({ pid: initProcess?.init?.pid ?? 0, runtimeSpec: { linux: { namespaces } }, record });
}

/** A pin's file is named after its namespace, the network's in short. */
function typeOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return name === 'net' ? 'network' : name;
}

/** Undefined when it is gone: after a reboot. */
function readSpec(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}
