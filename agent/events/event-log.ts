import { toRfc3339, type Clock } from '../../base/clock.js';
import type { Event, ObjectReference } from '../api/index.js';
import type { EventRecorder, EventType } from './event-recorder.js';
import { SimilarEvents } from './similar-events.js';

export interface EventLogOptions {
  readonly nodeName: string;
  /** Events kept for `berth events`; the oldest go first. */
  readonly keep: number;
}

export interface EventLogDeps {
  readonly clock: Clock;
}

interface FirstEvent {
  readonly object: ObjectReference;
  readonly type: EventType;
  readonly reason: string;
  readonly message: string;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** Longest message a Kubernetes event may carry. */
const longestMessage = 1024;

/**
 * The agent's events, equal ones counted and not repeated, and those that differ in too many words told as one. Listeners get each new or
 * grown event.
 */
export class EventLog implements EventRecorder {
  readonly #options: EventLogOptions;
  readonly #deps: EventLogDeps;
  readonly #events = new Map<string, Event>();
  readonly #listeners = new Set<(event: Event) => void>();
  readonly #similar: SimilarEvents;
  #made = 0;

  constructor(options: EventLogOptions, deps: EventLogDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#similar = new SimilarEvents(options.keep);
  }

  record(...[object, type, reason, message, annotations]: Parameters<EventRecorder['record']>): void {
    const { kind, namespace, name, uid, fieldPath } = object;
    const now = this.#deps.clock.now();
    // A reason of one object, whichever of its containers it is about, as client-go's EventAggregatorByReasonFunc has it.
    const group = [kind, namespace, name, uid, type, reason].join('\0');
    const own = shortened(message);
    const isOneOfMany = this.#similar.isOneOfMany(group, own, now);
    const text = isOneOfMany ? shortened(`(combined from similar events): ${own}`) : own;
    const key = isOneOfMany ? group : [group, fieldPath, text].join('\0');
    const before = this.#events.get(key);
    const event: Event = before
      ? { ...before, message: text, count: (before.count ?? 1) + 1, lastTimestamp: toRfc3339(now) }
      : this.#first({ object, type, reason, message: text, annotations }, now);
    // Moved to the end: the order of the map is the order of the last occurrence.
    this.#events.delete(key);
    this.#events.set(key, event);
    if (this.#events.size > this.#options.keep) this.#events.delete(this.#events.keys().next().value as string);
    for (const listener of this.#listeners) listener(event);
  }

  /** Oldest last occurrence first. */
  list(): readonly Event[] {
    return [...this.#events.values()];
  }

  onEvent(listener: (event: Event) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #first({ object, type, reason, message, annotations }: FirstEvent, at: number): Event {
    const { nodeName } = this.#options;
    const now = toRfc3339(at);
    // As client-go names them: the time in nanoseconds, here with a counter for those that our clock does not tell apart.
    const nanoseconds = BigInt(at) * 1_000_000n + BigInt(this.#made++ % 1_000_000);
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        name: `${object.name ?? 'node'}.${nanoseconds.toString(16)}`,
        namespace: object.namespace ?? 'default',
        creationTimestamp: now,
        ...(annotations && { annotations }),
      },
      involvedObject: object,
      type,
      reason,
      message,
      source: { component: 'kubelet', host: nodeName },
      reportingComponent: 'kubelet',
      reportingInstance: nodeName,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
  }
}

function shortened(message: string): string {
  return message.length > longestMessage ? `${message.slice(0, longestMessage - 3)}...` : message;
}
