interface Group {
  readonly messages: Set<string>;
  lastAt: number;
}

/** From the tenth message on that one reason of one object has, the rest are told as one event; ten quiet minutes begin anew. */
const limits = { messages: 10, quietMs: 600_000 };

/**
 * Knows events that differ only in their words, such as the output of a probe that prints the time: each would be an event of its own.
 * The limits are those of every Kubernetes client.
 */
export class SimilarEvents {
  readonly #groups = new Map<string, Group>();
  readonly #mostGroups: number;

  /** The groups that were heard of last are remembered. */
  constructor(mostGroups: number) {
    this.#mostGroups = mostGroups;
  }

  /** True when the message is not to be an event of its own any more. */
  isOneOfMany(group: string, message: string, now: number): boolean {
    const known = this.#groups.get(group);
    // A clock that was set back begins anew as well.
    const holds = known !== undefined && Math.abs(now - known.lastAt) <= limits.quietMs;
    const { messages } = holds ? known : { messages: new Set<string>() };
    this.#groups.delete(group);
    this.#groups.set(group, { messages, lastAt: now });
    if (this.#groups.size > this.#mostGroups) this.#groups.delete(this.#groups.keys().next().value as string);
    if (messages.has(message)) return false;
    if (messages.size + 1 >= limits.messages) return true;
    messages.add(message);
    return false;
  }
}
