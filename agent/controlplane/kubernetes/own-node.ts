import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { CSINode, Lease, Node } from '../../api/index.js';
import { same } from '../../status/same-status.js';
import type { NodeMarks } from '../control-plane.js';
import { ApiError, reflect, statusOf, type ApiClient } from './client/index.js';
import { Gate } from './gate.js';
import { LeaseContest } from './lease-contest.js';
import type { LastKnown } from './last-known.js';
import { nodeStatusPatch } from './node-status-patch.js';
import { leasePath, listPath, objectPath, resourceSlicePaths } from './resource-paths.js';

export interface OwnNodeDeps {
  readonly client: ApiClient;
  /** Heartbeats go over a connection of their own: no list or watch may hold them up. */
  readonly heartbeat: ApiClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly lastKnown: LastKnown;
}

/** Labels that the node keeps as they are on the machine and in its flags; all others belong to whoever set them. */
const kept = [
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'node.kubernetes.io/instance-type',
  'beta.kubernetes.io/instance-type',
];
/** What others act on while a node has it: that they attach its volumes, and which addresses a cloud's controller must tell. */
const goesWhenUnwanted = [
  'volumes.kubernetes.io/controller-managed-attach-detach',
  'alpha.kubernetes.io/provided-node-ip',
];
const heartbeatTimeoutMs = 10_000;

/** The server's object of this node, its lease, its list of storage drivers. */
export class OwnNode {
  readonly name: string;
  /** Names of attached volumes that something on this node uses. */
  volumesInUse: () => readonly string[] = () => [];
  readonly #deps: OwnNodeDeps;
  readonly #listeners = new Set<() => void>();
  #node: Node | undefined;
  #lease: Lease | undefined;
  readonly #contest = new LeaseContest();
  readonly #known = new Gate();
  #seen = false;

  constructor(name: string, deps: OwnNodeDeps) {
    this.name = name;
    this.#deps = deps;
    this.#node = deps.lastKnown.get(`Node/${name}`) as Node | undefined;
  }

  /** As the server knows it; the last known one while it cannot be asked; undefined when there is none. */
  get current(): Node | undefined {
    return this.#node;
  }

  /** Resolves when the server has told of it. */
  get known(): Promise<void> {
    return this.#known.passed;
  }

  /** Empty while only this agent speaks for the node. */
  get problem(): string {
    const other = `another agent renews the lease of node ${this.name}: two agents have one name, and the cluster hears both`;
    return this.#contest.isContested ? other : '';
  }

  get synced(): boolean {
    return this.#seen;
  }

  onChange(listener: () => void): Disposable {
    const own = (): void => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Follows it; `failed` is called when the server does not tell. */
  async run(failed: () => void, signal: AbortSignal): Promise<void> {
    const gone = (): void => {
      if (this.#node && this.#seen) this.#deps.log.warn({ node: this.name }, 'the node object was deleted');
      this.#seen = true;
      this.#set(undefined);
    };
    await reflect<Node>(
      { path: listPath('Node', ''), fieldSelector: `metadata.name=${this.name}` },
      {
        replaced: (items) => {
          const [node] = items;
          if (node) this.#set(node);
          else gone();
        },
        changed: (node) => this.#set(node),
        removed: gone,
        failed,
      },
      this.#deps,
      signal,
    );
  }

  /** Asks the server for it now, rather than wait for the watch; nothing comes of it when that fails. */
  async refresh(signal: AbortSignal): Promise<void> {
    const request = { method: 'GET', path: objectPath('Node', '', this.name), timeoutMs: heartbeatTimeoutMs } as const;
    try {
      this.#set(await this.#deps.heartbeat.json<Node>(request, signal));
    } catch {
      // The last one counts.
    }
  }

  /** Creates it, or brings what the node decides of an existing one up to date. */
  async register(node: Node, signal: AbortSignal): Promise<Node> {
    const { client } = this.#deps;
    try {
      const made = await client.json<Node>({ method: 'POST', path: listPath('Node', ''), body: node }, signal);
      this.#set(made);
      return made;
    } catch (err) {
      // A node that may not create itself may have been made by someone who may.
      if (statusOf(err) !== 409 && statusOf(err) !== 403) throw err;
      return await this.#adopt(node, err, signal);
    }
  }

  async writeStatus(wanted: Node, signal: AbortSignal): Promise<Node> {
    const { heartbeat } = this.#deps;
    const path = objectPath('Node', '', this.name);
    const timeoutMs = heartbeatTimeoutMs;
    const current =
      this.#seen && this.#node ? this.#node : await heartbeat.json<Node>({ method: 'GET', path, timeoutMs }, signal);
    const status = nodeStatusPatch(current.status ?? {}, wanted.status ?? {});
    if (!status) return current;
    const written = await heartbeat.json<Node>(
      { method: 'PATCH', path: `${path}/status`, body: { status }, bodyType: 'strategic-merge-patch', timeoutMs },
      signal,
    );
    this.#set(written);
    return written;
  }

  async reportVolumesInUse(signal: AbortSignal): Promise<void> {
    const names = this.volumesInUse();
    const told = new Set(this.#node?.status?.volumesInUse);
    if (names.every((name) => told.has(name))) return;
    this.#set(
      await this.#deps.heartbeat.json<Node>(
        {
          method: 'PATCH',
          path: `${objectPath('Node', '', this.name)}/status`,
          body: { status: { volumesInUse: names } },
          bodyType: 'strategic-merge-patch',
          timeoutMs: heartbeatTimeoutMs,
        },
        signal,
      ),
    );
  }

  async mark({ labels, annotations }: NodeMarks, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const path = objectPath('Node', '', this.name);
    const current = await client.json<Node>({ method: 'GET', path }, signal);
    const metadata = {
      labels: marksToChange(current.metadata?.labels, labels),
      annotations: marksToChange(current.metadata?.annotations, annotations),
    };
    if (Object.keys({ ...metadata.labels, ...metadata.annotations }).length === 0) return;
    // A node may change its own marks where it may change its status, and nowhere else.
    this.#set(
      await client.json<Node>(
        { method: 'PATCH', path: `${path}/status`, body: { metadata }, bodyType: 'strategic-merge-patch' },
        signal,
      ),
    );
  }

  async removeResourceSlices(driver: string | undefined, signal: AbortSignal): Promise<void> {
    const selector = [`spec.nodeName=${this.name}`, ...(driver === undefined ? [] : [`spec.driver=${driver}`])].join(
      ',',
    );
    const query = { fieldSelector: selector };
    for (const path of resourceSlicePaths) {
      try {
        await this.#deps.client.json({ method: 'DELETE', path, query }, signal);
        return;
      } catch (err) {
        // A cluster that is older has another version, and one without dynamic allocation has none.
        if (statusOf(err) !== 404) throw err;
      }
    }
  }

  async renewLease(lease: Lease, signal: AbortSignal): Promise<Lease> {
    const { heartbeat } = this.#deps;
    const timeoutMs = heartbeatTimeoutMs;
    const path = leasePath(this.name);
    const base = this.#lease ?? (await this.#readLease(signal));
    if (!base) {
      this.#lease = await heartbeat.json<Lease>(
        { method: 'POST', path: leasePath(''), body: lease, timeoutMs },
        signal,
      );
      return this.#lease;
    }
    const metadata = {
      ...base.metadata,
      ownerReferences: lease.metadata?.ownerReferences ?? base.metadata?.ownerReferences,
    };
    try {
      const body = { ...base, metadata, spec: { ...base.spec, ...lease.spec } };
      this.#lease = await heartbeat.json<Lease>({ method: 'PUT', path, body, timeoutMs }, signal);
      this.#contest.renewed();
      return this.#lease;
    } catch (err) {
      // Someone else wrote it, or took it away: read it again the next time.
      if (err instanceof ApiError && err.failure.code === 'status') this.#lease = undefined;
      if (statusOf(err) === 409) this.#contested();
      throw err;
    }
  }

  async writeCsiNode(csiNode: CSINode, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const path = objectPath('CSINode', '', this.name);
    try {
      const current = await client.json<CSINode>({ method: 'GET', path }, signal);
      if (same(current.spec, csiNode.spec)) return;
      const body = { ...csiNode, metadata: { ...current.metadata, ...csiNode.metadata } };
      await client.json({ method: 'PUT', path, body }, signal);
    } catch (err) {
      if (statusOf(err) !== 404) throw err;
      await client.json({ method: 'POST', path: listPath('CSINode', ''), body: csiNode }, signal);
    }
  }

  #contested(): void {
    const before = this.problem;
    this.#contest.lost();
    if (before === '' && this.problem !== '') this.#deps.log.error({ node: this.name }, this.problem);
  }

  async #adopt(node: Node, cause: unknown, signal: AbortSignal): Promise<Node> {
    const { client } = this.#deps;
    const path = objectPath('Node', '', this.name);
    let existing: Node;
    try {
      existing = await client.json<Node>({ method: 'GET', path }, signal);
    } catch (err) {
      throw statusOf(cause) === 403 && statusOf(err) === 404 ? cause : err;
    }
    const labels = changes(existing.metadata?.labels, node.metadata?.labels, kept);
    const { annotations: had = {} } = existing.metadata ?? {};
    const { annotations: wanted = {} } = node.metadata ?? {};
    const annotations = {
      ...changes(had, wanted, Object.keys(wanted)),
      ...Object.fromEntries(goesWhenUnwanted.filter((key) => key in had && !(key in wanted)).map((key) => [key, null])),
    };
    let current = existing;
    if (Object.keys(labels).length + Object.keys(annotations).length > 0) {
      const body = { metadata: { labels, annotations } };
      current = await client.json<Node>({ method: 'PATCH', path, body, bodyType: 'strategic-merge-patch' }, signal);
    }
    this.#set(current);
    return current;
  }

  async #readLease(signal: AbortSignal): Promise<Lease | undefined> {
    try {
      const request = { method: 'GET', path: leasePath(this.name), timeoutMs: heartbeatTimeoutMs } as const;
      return await this.#deps.heartbeat.json<Lease>(request, signal);
    } catch (err) {
      if (statusOf(err) === 404) return undefined;
      throw err;
    }
  }

  #set(node: Node | undefined): void {
    const { lastKnown } = this.#deps;
    if (node && this.#seen && Number(node.metadata?.resourceVersion) < Number(this.#node?.metadata?.resourceVersion)) {
      if (node.metadata?.uid === this.#node?.metadata?.uid) return;
    }
    const before = this.#node;
    this.#node = node;
    if (node) {
      this.#seen = true;
      this.#known.open();
    }
    const words = (each: Node | undefined): string =>
      JSON.stringify([
        each?.metadata?.uid,
        each?.metadata?.labels,
        each?.metadata?.annotations,
        each?.spec,
        each?.metadata?.deletionTimestamp,
        each?.status?.volumesInUse,
        each?.status?.capacity,
        each?.status?.allocatable,
        each?.status?.addresses,
      ]);
    if (node && words(before) !== words(node))
      lastKnown.put(`Node/${this.name}`, { ...node, metadata: { ...node.metadata, managedFields: undefined } });
    for (const listener of [...this.#listeners]) listener();
  }
}

function marksToChange(
  current: Readonly<Record<string, string>> | undefined,
  wanted: NodeMarks['labels'],
): Record<string, string | null> {
  return Object.fromEntries(Object.entries(wanted).filter(([key, value]) => (current?.[key] ?? null) !== value));
}

function changes(
  current: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string>> | undefined,
  keys: readonly string[],
): Record<string, string> {
  const changed: Record<string, string> = {};
  for (const key of keys) {
    const value = wanted?.[key];
    if (value !== undefined && current?.[key] !== value) changed[key] = value;
  }
  return changed;
}
