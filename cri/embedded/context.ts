import type { CallSubject } from '../../base/call-recorder.js';
import { KeyedLock } from '../../base/fifo-limit.js';
import { criLabels } from '../contract/labels.js';
import { criError } from '../contract/cri-error.js';
import type { HostFacts } from './host/host-facts.js';
import { SeccompProfiles } from './host/seccomp-profiles.js';
import type { EmbeddedRuntimeDeps, EmbeddedRuntimeOptions } from './options.js';
import type { ImageAccounts } from './oci-spec/users.js';
import type { ContainerEntry } from './state/container-entry.js';
import { EventHub } from './state/event-hub.js';
import { Layout } from './state/layout.js';
import { RecordStore } from './state/record-store.js';
import type { SandboxEntry } from './state/sandbox-entry.js';
import { Trash } from './state/trash.js';

/** What the verbs of one open runtime share. Verbs are functions of it; it has no behaviour of its own beyond look-ups. */
export class RuntimeContext {
  readonly options: EmbeddedRuntimeOptions;
  readonly deps: EmbeddedRuntimeDeps;
  readonly host: HostFacts;
  readonly layout: Layout;
  readonly records: RecordStore;
  readonly trash: Trash;
  readonly seccomp: SeccompProfiles;
  readonly events = new EventHub();
  /** One verb that makes or unmakes at a time per sandbox or container id. */
  readonly locks = new KeyedLock();
  readonly sandboxes = new Map<string, SandboxEntry>();
  readonly containers = new Map<string, ContainerEntry>();
  /** First processes of shared PID namespaces, by sandbox id. */
  readonly inits = new Map<string, ContainerEntry>();
  /** Taken names: a second object with the same metadata and attempt is refused. */
  readonly names = new Map<string, string>();
  /** Accounts of images seen, by image id. */
  readonly accounts = new Map<string, ImageAccounts>();
  /** Aborts when the runtime is closed. */
  readonly lifetime: AbortSignal;
  /** Things said once, by their key. */
  readonly said = new Set<string>();

  constructor(options: EmbeddedRuntimeOptions, deps: EmbeddedRuntimeDeps, host: HostFacts, lifetime: AbortSignal) {
    this.options = options;
    this.deps = deps;
    this.host = host;
    this.layout = new Layout(options);
    this.records = new RecordStore(this.layout);
    this.trash = new Trash(this.layout.trash, deps, lifetime);
    this.seccomp = new SeccompProfiles(options.seccompProfilePath, host);
    this.lifetime = lifetime;
  }

  /** By an id that may be cut short, as crictl prints it; one that is still being made is not there yet. */
  findSandbox(id: string | undefined): SandboxEntry | undefined {
    return byId(this.sandboxes, id, 'sandbox', (entry) => entry.phase !== 'creating');
  }

  sandbox(id: string | undefined): SandboxEntry {
    const entry = this.findSandbox(id);
    if (entry === undefined) throw criError('not-found', `find sandbox ${id}: not here`);
    return entry;
  }

  /** See `findSandbox`. */
  findContainer(id: string | undefined): ContainerEntry | undefined {
    return byId(this.containers, id, 'container', (entry) => entry.phase.kind !== 'creating');
  }

  container(id: string | undefined): ContainerEntry {
    const entry = this.findContainer(id);
    if (entry === undefined) throw criError('not-found', `find container ${id}: not here`);
    return entry;
  }

  /** Program of a RuntimeClass handler; empty is the default one. */
  ociRuntime(handler: string): string {
    const name = handler === '' ? this.options.defaultHandler : handler;
    const program = Object.hasOwn(this.options.ociRuntimes, name) ? this.options.ociRuntimes[name] : undefined;
    if (program === undefined) {
      const known = Object.keys(this.options.ociRuntimes).join(', ');
      throw criError('not-found', `find runtime handler ${JSON.stringify(name)}: not configured (there are ${known})`);
    }
    return program;
  }

  /** crun and runc keep different things in their state folder. */
  ociRoot(program: string): string {
    return `${this.layout.ociRoot}/${program.slice(program.lastIndexOf('/') + 1)}`;
  }

  get systemdCgroup(): boolean {
    return this.options.cgroupDriver === 'systemd';
  }

  async at(step: Parameters<NonNullable<EmbeddedRuntimeDeps['at']>>[0], id: string): Promise<void> {
    if (this.deps.at !== undefined) await this.deps.at(step, id);
  }

  /** Warns the first time only: for a lack of the machine that every container meets. */
  sayOnce(key: string, fields: object, message: string): void {
    if (this.said.has(key)) return;
    this.said.add(key);
    this.deps.log.warn(fields, message);
  }
}

/** Of an id; `newId` makes no other. */
const idLength = 64;

function byId<T extends { readonly id: string }>(
  entries: ReadonlyMap<string, T>,
  id: string | undefined,
  what: string,
  isThere: (entry: T) => boolean,
): T | undefined {
  if (id === undefined || id === '') throw criError('invalid-argument', `find ${what}: the id is empty`);
  const exact = entries.get(id);
  if (exact !== undefined) return isThere(exact) ? exact : undefined;
  if (id.length >= idLength) return undefined;
  const found = [...entries.values()].filter((entry) => entry.id.startsWith(id) && isThere(entry));
  if (found.length > 1) throw criError('invalid-argument', `find ${what} ${id}: ${found.length} ids begin so`);
  return found[0];
}

export function sandboxSubject(entry: SandboxEntry): CallSubject {
  const { metadata, id } = entry.record;
  return { podUid: metadata.uid, podNamespace: metadata.namespace, podName: metadata.name, object: id };
}

export function containerSubject(entry: ContainerEntry): CallSubject {
  const { labels, metadata, id } = entry.record;
  return {
    podUid: labels[criLabels.podUid],
    podNamespace: labels[criLabels.podNamespace],
    podName: labels[criLabels.podName],
    container: metadata.name,
    object: id,
  };
}
