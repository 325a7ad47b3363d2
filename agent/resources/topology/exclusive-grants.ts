import { errorText } from '../../../base/errors.js';
import { FifoLimit } from '../../../base/fifo-limit.js';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import { allContainers, podUidOf, type Pod, type PodUid } from '../../api/index.js';
import type { GrantOutcome, PodGrants } from '../../executors/executor-deps.js';
import type { GrantWait } from '../../podloop/pod-facts.js';
import type { ExclusiveCpus } from '../linux-resources.js';
import type { ExclusiveCounts } from './exclusive-counts.js';
import { CpuError, type CpuManager, type CpuManagerState } from './cpu-manager.js';
import { formatCpuSet } from './cpu-set.js';
import type { KubeletCheckpoint } from './kubelet-checkpoint.js';
import { MemoryError, type MemoryManager, type MemoryManagerState } from './memory-manager.js';
import { TopologyError, type TopologyManager } from './topology-manager.js';

/** Devices, which have a place in the machine too; whoever hands them out asks `affinity` for each container's. */
export interface PlacedGrants extends PodGrants {
  waitOf(uid: PodUid): GrantWait | undefined;
}

export interface ExclusiveGrantsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly devices: PlacedGrants;
  readonly topology: TopologyManager;
  /** Absent where nobody has CPUs, or memory, for himself. */
  readonly cpu: { readonly manager: CpuManager; readonly file: KubeletCheckpoint<CpuManagerState> } | undefined;
  readonly memory:
    { readonly manager: MemoryManager; readonly file: KubeletCheckpoint<MemoryManagerState> } | undefined;
  readonly counts: ExclusiveCounts;
  /** Pods that end, and until when they may take, ms. */
  ending(): readonly { readonly pod: Pod; readonly until: number }[];
  wake(uid: PodUid): void;
  /** The CPUs that all others share are others now. */
  sharedChanged(): void;
}

/** An ending pod that takes longer than its grace is still waited for this long. */
const endingSlackMs = 30_000;

/**
 * CPUs and memory that containers have for themselves, and devices, from the same NUMA nodes where the topology policy says so. All that a
 * pod asks for, or nothing; written down before any of its containers starts.
 */
export class ExclusiveGrants implements PodGrants {
  readonly #deps: ExclusiveGrantsDeps;
  /** What is free must not change between hint and choice. */
  readonly #one = new FifoLimit(1);
  readonly #waits = new Map<PodUid, GrantWait>();
  readonly #placing = new Map<PodUid, Placement>();

  constructor(deps: ExclusiveGrantsDeps) {
    this.#deps = deps;
  }

  allocate(pod: Pod, running: ReadonlySet<string>, signal: AbortSignal): Promise<GrantOutcome> {
    return this.#one.run(async () => {
      const isKnown = running.size > 0 || this.#waits.has(podUidOf(pod));
      return await this.#deps.counts.admission(isKnown, () => this.#allocate(pod, running, signal));
    }, signal);
  }

  waitOf(uid: PodUid): GrantWait | undefined {
    return this.#waits.get(uid) ?? this.#deps.devices.waitOf(uid);
  }

  /** NUMA nodes for the devices of a container whose pod is being taken; those of the containers before it are chosen. */
  affinity(pod: Pod, container: string): readonly number[] | undefined {
    return this.#placing.get(podUidOf(pod))?.through(container);
  }

  prepareClaims(pod: Pod, signal: AbortSignal): Promise<void> {
    return this.#deps.devices.prepareClaims(pod, signal);
  }

  preStart(pod: Pod, container: string, signal: AbortSignal): Promise<void> {
    return this.#deps.devices.preStart(pod, container, signal);
  }

  async release(uid: PodUid, signal: AbortSignal): Promise<void> {
    await this.#deps.devices.release(uid, signal);
    await this.#one.run(() => this.#giveBack(uid), signal);
  }

  /** Pods that hold something, also of earlier runs. */
  present(): Promise<readonly PodUid[]> {
    const { cpu, memory } = this.#deps;
    return Promise.resolve([...new Set([...(cpu?.manager.holders() ?? []), ...(memory?.manager.holders() ?? [])])]);
  }

  /** Where a container runs: on CPUs of its own, or on those all others share. */
  placeOf(pod: Pod, container: string): ExclusiveCpus {
    const { cpu, memory } = this.#deps;
    const uid = podUidOf(pod);
    return {
      cpus: cpu ? formatCpuSet(cpu.manager.cpusOf(uid, container)) : '',
      mems: formatCpuSet(memory?.manager.nodesOf(uid, container) ?? []),
      exclusive: cpu?.manager.isExclusive(uid, container) ?? false,
    };
  }

  async #allocate(pod: Pod, running: ReadonlySet<string>, signal: AbortSignal): Promise<GrantOutcome> {
    const { devices, log } = this.#deps;
    const uid = podUidOf(pod);
    const held = this.#holds(uid);
    const walk = new Placement(pod, this.#deps);
    try {
      this.#placing.set(uid, walk);
      const outcome = await devices.allocate(pod, running, signal);
      if (outcome.kind !== 'granted') {
        if (!held) await this.#giveBack(uid);
        return outcome;
      }
      walk.rest();
      await this.#save();
      this.#waits.delete(uid);
      if (!held && this.#holds(uid)) this.#deps.sharedChanged();
      return outcome;
    } catch (err) {
      if (!held) await this.#giveBack(uid);
      signal.throwIfAborted();
      const refusal = refusalOf(err);
      if (!refusal) throw err;
      if (running.size > 0) {
        // It ran before: that what it had is not known any more is no reason to end it.
        log.warn({ podUid: uid, reason: errorText(err) }, 'a running pod cannot have CPUs or memory of its own');
        return { kind: 'granted' };
      }
      return this.#waitForEnding(uid, err) ?? refusal;
    } finally {
      this.#placing.delete(uid);
    }
  }

  #holds(uid: PodUid): boolean {
    const { cpu, memory } = this.#deps;
    return cpu?.manager.holds(uid) === true || memory?.manager.holds(uid) === true;
  }

  async #giveBack(uid: PodUid): Promise<void> {
    const { cpu, memory, topology } = this.#deps;
    topology.release(uid);
    this.#waits.delete(uid);
    if (!this.#holds(uid)) return;
    cpu?.manager.release(uid);
    memory?.manager.release(uid);
    await this.#save();
    this.#deps.sharedChanged();
    for (const [waiting, wait] of this.#waits) {
      this.#waits.set(waiting, { ...wait, until: 0 });
      this.#deps.wake(waiting);
    }
  }

  async #save(): Promise<void> {
    const { cpu, memory } = this.#deps;
    await cpu?.file.write(cpu.manager.state());
    await memory?.file.write(memory.manager.state());
  }

  /** Pods that end give theirs back: one that takes their place waits for them. */
  #waitForEnding(uid: PodUid, err: unknown): GrantOutcome | undefined {
    const holders = this.#deps.ending().filter(({ pod }) => this.#holds(podUidOf(pod)));
    const until = Math.max(0, ...holders.map((each) => each.until)) + endingSlackMs;
    const now = this.#deps.clock.now();
    if (holders.length === 0 || until <= now) return undefined;
    const names = holders.map(({ pod }) => pod.metadata?.name ?? '').join(', ');
    const reason = `${errorText(err)}; pods that are ending give back theirs: ${names}`;
    const since = this.#waits.get(uid)?.since ?? now;
    this.#waits.set(uid, { resource: err instanceof MemoryError ? 'memory' : 'cpu', reason, since, until });
    return { kind: 'waiting' };
  }
}

/** The containers of one pod in order, each placed when those before it are. */
class Placement {
  readonly #pod: Pod;
  readonly #deps: Pick<ExclusiveGrantsDeps, 'topology' | 'cpu' | 'memory' | 'counts'>;
  readonly #left: string[];
  readonly #nodes = new Map<string, readonly number[] | undefined>();

  constructor(pod: Pod, deps: Pick<ExclusiveGrantsDeps, 'topology' | 'cpu' | 'memory' | 'counts'>) {
    this.#pod = pod;
    this.#deps = deps;
    this.#left = allContainers(pod).flatMap(({ kind, container }) => (kind === 'ephemeral' ? [] : [container.name]));
  }

  /** Places those up to this one; its NUMA nodes. */
  through(container: string): readonly number[] | undefined {
    while (!this.#nodes.has(container) && this.#left.length > 0) this.#next();
    return this.#nodes.get(container);
  }

  rest(): void {
    while (this.#left.length > 0) this.#next();
  }

  #next(): void {
    const name = this.#left.shift();
    if (name === undefined) return;
    const { topology, cpu, memory, counts } = this.#deps;
    const pod = this.#pod;
    const nodes = counts.placed(this.#nodes.size === 0, () => topology.settle(pod, name));
    if (cpu) counts.pinned('cpu', cpu.manager.wants(pod, name), () => cpu.manager.allocate(pod, name, nodes));
    if (memory)
      counts.pinned('memory', memory.manager.wants(pod, name), () => memory.manager.allocate(pod, name, nodes));
    this.#nodes.set(name, nodes);
  }
}

/** In the kubelet's words; undefined for what is nobody's decision. */
function refusalOf(err: unknown): GrantOutcome | undefined {
  if (err instanceof TopologyError)
    return { kind: 'refused', reason: 'TopologyAffinityError', message: errorText(err) };
  if (err instanceof CpuError && err.failure.code === 'smt-alignment')
    return { kind: 'refused', reason: 'SMTAlignmentError', message: errorText(err) };
  if (err instanceof CpuError || err instanceof MemoryError) {
    const message = `Allocate failed due to ${errorText(err)}, which is unexpected`;
    return { kind: 'refused', reason: 'UnexpectedAdmissionError', message };
  }
  return undefined;
}
