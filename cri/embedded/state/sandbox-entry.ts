import { setMaxListeners } from 'node:events';
import type { ContainerEntry } from './container-entry.js';
import type { SandboxRecord } from './records.js';

export type SandboxPhase = 'creating' | 'ready' | 'not-ready';

/** A pinned namespace: the file must still be the same inode of nsfs. */
export interface Pin {
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
}

/** One sandbox in memory. */
export class SandboxEntry {
  record: SandboxRecord;
  phase: SandboxPhase = 'creating';
  readonly containers = new Set<ContainerEntry>();
  pins: readonly Pin[] = [];
  /** Reaper of a shared PID namespace; its end makes the sandbox not ready. */
  initProcess: ContainerEntry | undefined;
  shmMounted = false;
  /** Aborts when it is being stopped: creations in it give up. */
  readonly ending = new AbortController();
  /** Creations under way; each settles without failing. */
  readonly creations = new Set<Promise<void>>();
  /** Network, pins and mounts are gone. */
  released = false;

  constructor(record: SandboxRecord) {
    this.record = record;
    // As many listeners as creations: not a leak.
    setMaxListeners(0, this.ending.signal);
  }

  get id(): string {
    return this.record.id;
  }
}
