import type * as v1 from '../../../proto/generated/cri-v1.js';
import type { SandboxEntry } from './sandbox-entry.js';

export interface RuntimeEvent {
  /** Container or sandbox. */
  readonly id: string;
  /** Itself, or what the container is in: a reader may come to the event when the runtime has forgotten it. */
  readonly sandbox: SandboxEntry | undefined;
  readonly type: v1.ContainerEventType;
  readonly atMs: number;
}

/** A reader that falls this far behind loses the oldest events; they are hints, the newest counts. */
const longestQueue = 10_000;

class Reader {
  readonly queue: RuntimeEvent[] = [];
  wake: (() => void) | undefined;
}

/** Hands events to every reader from the moment it began to read. */
export class EventHub {
  readonly #readers = new Set<Reader>();

  emit(event: RuntimeEvent): void {
    for (const reader of this.#readers) {
      reader.queue.push(event);
      if (reader.queue.length > longestQueue) reader.queue.shift();
      reader.wake?.();
    }
  }

  /** Events from this call on, not from the first read; ends without an error when the signal aborts. */
  subscribe(signal: AbortSignal): AsyncGenerator<RuntimeEvent, void, undefined> {
    const reader = new Reader();
    if (!signal.aborted) this.#readers.add(reader);
    return this.#read(reader, signal);
  }

  async *#read(reader: Reader, signal: AbortSignal): AsyncGenerator<RuntimeEvent, void, undefined> {
    const onAbort = (): void => reader.wake?.();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const next = reader.queue.shift();
        if (next !== undefined) {
          yield next;
          continue;
        }
        await new Promise<void>((resolve) => {
          reader.wake = resolve;
          if (signal.aborted || reader.queue.length > 0) resolve();
        });
        reader.wake = undefined;
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#readers.delete(reader);
    }
  }
}
