import type { Pod } from '../api/index.js';
import type { ContainerNotes } from './pod-facts.js';

/**
 * What one pod's loop knows and the machine cannot tell. Executors write it, passes read it; it is gone with the agent, and everything
 * in it can be found out again.
 */
export class PodMemory {
  prepared = false;
  released = false;
  /** The pod as its cgroup was limited for. */
  sizedFor: Pod | undefined;
  /** CPUs that running instances were moved to, by id. */
  readonly pinned = new Map<string, string>();
  readonly notes = new Map<string, ContainerNotes>();

  /** Sandboxes whose stop succeeded: one that is not ready may still hold its network. */
  readonly stoppedSandboxes = new Set<string>();
  /** Kills under way by container id; aborting one ends its preStop hook, because a later kill left it no time. */
  readonly kills = new Map<string, AbortController>();

  note(container: string, change: ContainerNotes): void {
    this.notes.set(container, { ...this.notes.get(container), ...change });
  }

  /** Containers that wait for their restart may start now. */
  forgetBackoff(): void {
    for (const container of this.notes.keys()) this.note(container, { backoff: undefined });
  }
}
