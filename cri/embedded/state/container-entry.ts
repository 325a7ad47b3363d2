import type { ProcessIdentity } from '../host/process-identity.js';
import type { ContainerExit, ContainerRecord } from './records.js';

export type ContainerPhase =
  /** Its parts are being made; not listed. */
  | { readonly kind: 'creating' }
  | { readonly kind: 'created'; readonly init: ProcessIdentity; readonly conmon: ProcessIdentity }
  | { readonly kind: 'running'; readonly init: ProcessIdentity; readonly conmon: ProcessIdentity }
  | { readonly kind: 'exited'; readonly exit: ContainerExit };

/** One container in memory: its record, what it does now, and who waits for its end. */
export class ContainerEntry {
  record: ContainerRecord;
  phase: ContainerPhase = { kind: 'creating' };
  /** The readers of events know that it was started. */
  startTold = false;
  /** Its end was asked for. */
  stopping = false;
  /** Its mounts are gone; nothing is left to unmount. */
  unmounted = false;
  /** The OCI runtime has forgotten it; its cgroup is gone. */
  deleted = false;
  /** Writes of the record, one after another. */
  writing: Promise<void> = Promise.resolve();
  #exitWaiters: Array<() => void> = [];

  constructor(record: ContainerRecord) {
    this.record = record;
  }

  get id(): string {
    return this.record.id;
  }

  /** The first process, while there is one. */
  get init(): ProcessIdentity | undefined {
    return this.phase.kind === 'created' || this.phase.kind === 'running' ? this.phase.init : undefined;
  }

  /** Calls back once when it has exited, at once if it has; the returned function takes the waiter away. */
  onExit(waiter: () => void): () => void {
    if (this.phase.kind === 'exited') {
      waiter();
      return () => {};
    }
    this.#exitWaiters.push(waiter);
    return () => {
      this.#exitWaiters = this.#exitWaiters.filter((other) => other !== waiter);
    };
  }

  /** The one door to `exited`; the first reason stands. */
  setExited(exit: ContainerExit): boolean {
    if (this.phase.kind === 'exited') return false;
    this.phase = { kind: 'exited', exit };
    this.record = { ...this.record, exit };
    const waiters = this.#exitWaiters;
    this.#exitWaiters = [];
    for (const waiter of waiters) waiter();
    return true;
  }
}
