import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import type { Event } from '../../api/index.js';
import { sleepUntilRecovery } from '../recovery.js';
import { Backoff, statusOf, type ApiClient } from './client/index.js';
import { eventPath } from './resource-paths.js';
import { TokenBucket } from './token-bucket.js';

export interface EventWriterOptions {
  /** Events a second and at once; 0 for no limit. */
  readonly perSecond: number;
  readonly burst: number;
}

export interface EventWriterDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The rest is dropped, oldest first: a cluster that is away must not fill the memory. */
const mostQueued = 1000;
/** One object may not drown the others: 25 at once, then one in five minutes, as every Kubernetes client does. */
const perObject = { burst: 25, perSecond: 1 / 300 };
const mostObjects = 4096;
const mostWritten = 4096;

/**
 * Writes events in the background, one at a time, an event that is repeated while it waits only once with its newest count.
 * Never throws and never waits: an event is worth telling and nothing more.
 */
export class EventWriter implements AsyncDisposable {
  readonly #deps: EventWriterDeps;
  readonly #global: TokenBucket | undefined;
  readonly #objects = new Map<string, TokenBucket>();
  readonly #queue = new Map<string, Event>();
  /** Names of events that the server has, by key, with the count it was told. */
  readonly #written = new Set<string>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #dropped = 0;

  constructor({ perSecond, burst }: EventWriterOptions, deps: EventWriterDeps) {
    this.#deps = deps;
    this.#global = perSecond > 0 ? new TokenBucket({ perSecond, burst }, deps.clock) : undefined;
  }

  write(event: Event): void {
    const key = keyOf(event);
    if (!this.#queue.has(key) && !this.#allowed(event)) {
      this.#dropped++;
      return;
    }
    this.#queue.set(key, event);
    if (this.#queue.size > mostQueued) this.#queue.delete(this.#queue.keys().next().value as string);
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** Resolves when nothing waits to be written. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    await this.#running;
  }

  #allowed(event: Event): boolean {
    const { kind, namespace, name, uid } = event.involvedObject;
    const key = `${kind}/${namespace}/${name}/${uid}`;
    const bucket = this.#objects.get(key) ?? new TokenBucket(perObject, this.#deps.clock);
    this.#objects.delete(key);
    this.#objects.set(key, bucket);
    if (this.#objects.size > mostObjects) this.#objects.delete(this.#objects.keys().next().value as string);
    return bucket.take();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { clock, log } = this.#deps;
    const backoff = new Backoff({ firstMs: 1000, maxMs: 10_000 });
    try {
      for (let next = this.#first(); next; next = this.#first()) {
        const wait = this.#global?.waitMs() ?? 0;
        if (wait > 0) await clock.sleep(wait, signal);
        // The newest count there is now.
        const [key] = next;
        const event = this.#queue.get(key) ?? next[1];
        this.#queue.delete(key);
        try {
          await this.#send(key, event, signal);
          backoff.reset();
        } catch (err) {
          signal.throwIfAborted();
          const status = statusOf(err);
          if (status >= 400 && status < 500 && status !== 429 && status !== 401) {
            log.warn({ err: errorText(err), reason: event.reason }, 'event was refused by the API server');
            continue;
          }
          if (!this.#queue.has(key)) this.#queue.set(key, event);
          await sleepUntilRecovery(backoff.next(), this.#deps.client, clock, signal);
        }
      }
    } catch (err) {
      if (!signal.aborted) log.error({ err: errorText(err) }, 'events are no longer written');
    }
  }

  #first(): [string, Event] | undefined {
    const first = this.#queue.entries().next();
    return first.done === true ? undefined : first.value;
  }

  async #send(key: string, event: Event, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const { namespace = 'default', name = '' } = event.metadata;
    if (this.#written.has(key)) {
      const { count, lastTimestamp, message } = event;
      try {
        const path = eventPath(namespace, name);
        await client.json(
          { method: 'PATCH', path, body: { count, lastTimestamp, message }, bodyType: 'merge-patch' },
          signal,
        );
        return;
      } catch (err) {
        // Events live an hour; the server may have forgotten this one.
        if (statusOf(err) !== 404) throw err;
      }
    }
    const { creationTimestamp: _, ...metadata } = event.metadata;
    try {
      await client.json({ method: 'POST', path: eventPath(namespace), body: { ...event, metadata } }, signal);
    } catch (err) {
      // An earlier try came through although its answer did not.
      if (statusOf(err) !== 409) throw err;
    }
    this.#written.add(key);
    if (this.#written.size > mostWritten) this.#written.delete(this.#written.keys().next().value as string);
  }
}

const keyOf = ({ metadata }: Event): string => `${metadata.namespace ?? 'default'}/${metadata.name ?? ''}`;
