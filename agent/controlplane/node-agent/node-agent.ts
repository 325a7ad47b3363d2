import { toRfc3339, type Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import type { CSINode, Lease, Node, NodeStatus, Taint } from '../../api/index.js';
import { WakeUp } from '../../sources/wake-up.js';
import { same } from '../../status/same-status.js';
import type { ControlPlane } from '../control-plane.js';
import { sleepUntilRecovery } from '../recovery.js';
import { conditionEvents, cordonEvent, rebootEvent, type NodeEvent } from './node-events.js';
import type { NodeStatusSource } from './node-status-source.js';
import { notReady } from './not-ready.js';
import { staleResources, withoutStale, withOpaqueResources } from './opaque-resources.js';

export interface NodeAgentOptions {
  readonly nodeName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  readonly providerId: string | undefined;
  readonly unschedulable: boolean;
  /** Nothing is left of what device plugins told an earlier agent: what the node object says of their resources is stale. */
  readonly madeAnew: boolean;
  /** False where someone else makes the node object. */
  readonly register: boolean;
  readonly statusEveryMs: number;
  readonly reportEveryMs: number;
  readonly leaseSeconds: number;
}

export interface NodeAgentDeps {
  readonly controlPlane: Pick<
    ControlPlane,
    'registerNode' | 'writeNodeStatus' | 'renewLease' | 'writeCsiNode' | 'get' | 'watch' | 'volumesInUse' | 'onRecovery'
  >;
  readonly source: NodeStatusSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
  /** The node object is there, perhaps made anew: what others want known of the node is written now. */
  registered?(signal: AbortSignal): Promise<void>;
  /** Something about the node that people want to know. */
  event?(event: NodeEvent): void;
}

/**
 * What the scheduler and the API server look for before they give a node a pod, or a change of one, that needs it; and the last
 * hop of WebSockets, which the API server otherwise translates.
 */
const declaredFeatures = [
  'ExtendWebSocketsToKubelet',
  'InPlacePodLevelResourcesVerticalScaling',
  'InPlacePodVerticalScalingInitContainers',
  'RestartAllContainersOnContainerExits',
];
const registerRetry = { firstMs: 100, maxMs: 7000 };
const jitter = 0.04;

/** Makes the node known to the control plane and keeps saying that it lives: registration, status, lease. */
export class NodeAgent implements AsyncDisposable {
  readonly #options: NodeAgentOptions;
  readonly #deps: NodeAgentDeps;
  readonly #stop = new AbortController();
  readonly #wake = new WakeUp();
  readonly #running: Promise<void>[] = [];
  readonly #subscriptions: Disposable[] = [];
  #reportedAt = Number.NEGATIVE_INFINITY;
  #reported: NodeStatus | undefined;
  #cordoned: boolean | undefined;
  readonly #problems = { status: 'not registered yet', lease: '' };
  #csiProblem = '';
  /** Resources to be told of as gone, once. */
  #stale: readonly string[] = [];
  #madeAnew: boolean;

  constructor(options: NodeAgentOptions, deps: NodeAgentDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#madeAnew = options.madeAnew;
  }

  /** Why the control plane may take the node for dead; empty while all is well. */
  get problem(): string {
    return this.#problems.status || this.#problems.lease;
  }

  start(): void {
    const { controlPlane, source } = this.#deps;
    const { nodeName } = this.#options;
    this.#subscriptions.push(
      source.onChange(() => this.#wake.set()),
      controlPlane.watch('Node', '', nodeName, () => this.#nodeChanged()),
    );
    this.#tell([{ type: 'Normal', reason: 'Starting', message: 'Starting kubelet.' }]);
    this.#run('node status', this.#statusLoop(this.#stop.signal));
    this.#run('node lease', this.#leaseLoop(this.#stop.signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    await Promise.all(this.#running);
  }

  async #statusLoop(signal: AbortSignal): Promise<void> {
    const { statusEveryMs } = this.#options;
    const { controlPlane } = this.#deps;
    await this.#registered(signal);
    while (!signal.aborted) {
      let waitMs = this.#jittered(statusEveryMs);
      let failed = false;
      try {
        await this.#writeStatus(signal);
        this.#problems.status = '';
      } catch (err) {
        signal.throwIfAborted();
        waitMs = Math.min(waitMs, statusEveryMs);
        failed = true;
        this.#failed('status', err, 'node status could not be written', waitMs);
      }
      using _again = failed ? controlPlane.onRecovery?.(() => this.#wake.set()) : undefined;
      await this.#wake.wait(waitMs, signal);
      if ((await this.#current(signal)) === undefined) await this.#registered(signal);
    }
  }

  /** Until the node object is there. A container runtime that is away, or a server, holds up nothing else. */
  async #registered(signal: AbortSignal): Promise<void> {
    const { clock, controlPlane, log } = this.#deps;
    for (let waitMs = registerRetry.firstMs; ; waitMs = Math.min(waitMs * 2, registerRetry.maxMs)) {
      try {
        const status = await this.#read(undefined, signal);
        if (!this.#options.register) {
          const found = await this.#current(signal);
          if (!found) throw new Error(`nobody has made the node object ${this.#options.nodeName} yet`);
          return await this.#ensureCsiNode(found, signal);
        }
        const node = await controlPlane.registerNode(this.#node(this.#stamped(status)), signal);
        log.info({ node: this.#options.nodeName }, 'node is registered');
        this.#tell(rebootEvent(this.#options.nodeName, node, status.nodeInfo?.bootID));
        this.#reported = undefined;
        if (this.#madeAnew) this.#stale = staleResources(status, node.status);
        this.#madeAnew = false;
        await this.#ensureCsiNode(node, signal);
        await this.#deps.registered?.(signal);
        return;
      } catch (err) {
        signal.throwIfAborted();
        this.#failed('status', err, 'node could not be registered', waitMs);
        await sleepUntilRecovery(waitMs, controlPlane, clock, signal);
      }
    }
  }

  async #writeStatus(signal: AbortSignal): Promise<void> {
    const { controlPlane, clock } = this.#deps;
    const current = await this.#current(signal);
    if (this.#csiProblem !== '' && current) await this.#ensureCsiNode(current, signal);
    const status = await this.#read(current?.status, signal);
    const now = clock.now();
    const due = now - this.#reportedAt >= this.#options.reportEveryMs || now < this.#reportedAt;
    const stands = isShown(current?.status, status);
    // Volumes are also written on their own, when one is about to be used.
    const told = same(current?.status?.volumesInUse ?? [], status.volumesInUse);
    if (!due && stands && told && this.#reported && same(this.#reported, status)) return;
    const before = this.#reported;
    await controlPlane.writeNodeStatus(this.#node(this.#stamped(status)), signal);
    this.#reported = status;
    this.#reportedAt = now;
    this.#stale = [];
    this.#tell(conditionEvents(this.#options.nodeName, before, status));
  }

  async #read(previous: NodeStatus | undefined, signal: AbortSignal): Promise<NodeStatus> {
    const own = await this.#deps.source.read(previous, signal);
    const read = withoutStale(withOpaqueResources(own, previous), this.#stale);
    const status = this.#csiProblem === '' ? read : notReady(read, previous, this.#csiProblem, this.#deps.clock.now());
    const volumesInUse = [...this.#deps.controlPlane.volumesInUse];
    return { declaredFeatures: [...declaredFeatures], ...status, volumesInUse };
  }

  async #leaseLoop(signal: AbortSignal): Promise<void> {
    const { clock, controlPlane } = this.#deps;
    const { leaseSeconds } = this.#options;
    const everyMs = (leaseSeconds * 1000) / 4;
    let failures = 0;
    while (!signal.aborted) {
      let waitMs = this.#jittered(everyMs);
      try {
        const node = await this.#current(signal);
        // A lease without an owner would stay after the node is gone.
        if (node?.metadata?.uid) await controlPlane.renewLease(this.#lease(node), signal);
        else waitMs = 200;
        failures = 0;
        this.#problems.lease = '';
      } catch (err) {
        signal.throwIfAborted();
        waitMs = Math.min(200 * 2 ** Math.min(failures++, 10), 7000);
        this.#failed('lease', err, 'node lease could not be renewed', waitMs);
      }
      if (failures === 0) await clock.sleep(waitMs, signal);
      else await sleepUntilRecovery(waitMs, controlPlane, clock, signal);
    }
  }

  /**
   * As long as there is none, the attach-detach controller and the scheduler do not know the node's drivers: until then it is not ready,
   * as a kubelet's is not. Never rejects but for the signal; what is wrong is told on the node.
   */
  async #ensureCsiNode(node: Node, signal: AbortSignal): Promise<void> {
    const { controlPlane, log } = this.#deps;
    const { nodeName } = this.#options;
    const metadata = { name: nodeName, ownerReferences: [ownedBy(node)] };
    const spec = { drivers: [] };
    const body: CSINode = { apiVersion: 'storage.k8s.io/v1', kind: 'CSINode', metadata, spec };
    try {
      if (!(await controlPlane.get('CSINode', '', nodeName, signal))) await controlPlane.writeCsiNode(body, signal);
      this.#csiProblem = '';
    } catch (err) {
      signal.throwIfAborted();
      if (this.#csiProblem === '') log.warn({ node: nodeName, err: errorText(err) }, 'CSINode could not be made');
      this.#csiProblem = `CSINode is not yet initialized: ${errorText(err)}`;
    }
  }

  async #current(signal: AbortSignal): Promise<Node | undefined> {
    try {
      return await this.#deps.controlPlane.get('Node', '', this.#options.nodeName, signal);
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }

  /** A node that was deleted is made again: its pods run. */
  #nodeChanged(): void {
    const { signal } = this.#stop;
    this.#current(signal)
      .then((node) => {
        if (node === undefined) return this.#wake.set();
        const cordoned = node.spec?.unschedulable === true;
        this.#tell(cordonEvent(this.#options.nodeName, this.#cordoned, cordoned));
        this.#cordoned = cordoned;
      })
      .catch(() => {});
  }

  #node(status: NodeStatus): Node {
    const { nodeName, labels, annotations, taints, providerId, unschedulable } = this.#options;
    return {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: nodeName, labels: { ...labels }, annotations: { ...annotations } },
      spec: {
        ...(providerId !== undefined && { providerID: providerId }),
        ...(taints.length > 0 && { taints: [...taints] }),
        ...(unschedulable && { unschedulable }),
      },
      status,
    };
  }

  #lease(node: Node): Lease {
    const { nodeName, leaseSeconds } = this.#options;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: nodeName, namespace: 'kube-node-lease', ownerReferences: [ownedBy(node)] },
      spec: {
        holderIdentity: nodeName,
        leaseDurationSeconds: leaseSeconds,
        renewTime: `${new Date(this.#deps.clock.now()).toISOString().slice(0, -1)}000Z`,
      },
    };
  }

  #stamped(status: NodeStatus): NodeStatus {
    const lastHeartbeatTime = toRfc3339(this.#deps.clock.now());
    const conditions = (status.conditions ?? []).map((condition) => ({ ...condition, lastHeartbeatTime }));
    return { ...status, conditions };
  }

  #tell(events: readonly NodeEvent[]): void {
    for (const event of events) this.#deps.event?.(event);
  }

  #failed(of: 'status' | 'lease', err: unknown, message: string, retryInMs: number): void {
    this.#problems[of] = `${message}: ${errorText(err)}`;
    this.#deps.log.warn({ node: this.#options.nodeName, err: errorText(err), retryInMs }, message);
  }

  #jittered(ms: number): number {
    return Math.round(ms * (1 + (this.#deps.random ?? Math.random)() * jitter));
  }

  #run(what: string, work: Promise<void>): void {
    this.#running.push(
      work.catch((err: unknown) => {
        if (!this.#stop.signal.aborted)
          this.#deps.log.error({ what, err: errorText(err) }, 'a heartbeat of the node ended');
      }),
    );
  }
}

/** False when somebody else changed on the server what this node had said of itself, or it said more in between. */
function isShown(shown: NodeStatus | undefined, said: NodeStatus): boolean {
  if (!same(shown?.volumesInUse ?? [], said.volumesInUse ?? [])) return false;
  const there = new Map((shown?.conditions ?? []).map((condition) => [condition.type, condition]));
  return (said.conditions ?? []).every(({ type, status, reason, message }) => {
    const other = there.get(type);
    return other?.status === status && other.reason === reason && other.message === message;
  });
}

const ownedBy = (node: Node): { apiVersion: string; kind: string; name: string; uid: string } => ({
  apiVersion: 'v1',
  kind: 'Node',
  name: node.metadata?.name ?? '',
  uid: node.metadata?.uid ?? '',
});
