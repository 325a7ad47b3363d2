import type { Clock } from '../../../../base/clock.js';
import { errorText } from '../../../../base/errors.js';
import type { Logger } from '../../../../base/log.js';
import { sleepUntilRecovery } from '../../recovery.js';
import type { ApiClient } from './api-client.js';
import { ApiError, isExpired, statusOf } from './api-error.js';
import { Backoff } from './backoff.js';
import { listAll } from './list-all.js';
import { watchStream, type WatchedObject } from './watch-stream.js';

export interface ReflectorOptions {
  readonly path: string;
  readonly fieldSelector?: string | undefined;
}

export interface ReflectorDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
}

/** Where a reflector puts what it sees. */
export interface ReflectorTarget<T> {
  /** The complete set. */
  replaced(items: readonly T[]): void;
  changed(item: T): void;
  removed(item: T): void;
  /** A list or watch failed; it is tried again. */
  failed?(err: unknown): void;
}

/** A server that is away is asked again this soon at first, this rarely at last. */
const retry = { firstMs: 200, maxMs: 10_000 };
/** The server ends a watch after 10 to 20 minutes, so that watches spread over the servers of a cluster again. */
const watchSeconds = 600;
/** A watch that the server ends sooner than this was no success. */
const shortWatchMs = 1000;
/** All watches of a node, and of all nodes, come back at once when the server does: not in one moment. */
const spreadMs = 300;

/**
 * Keeps a copy of objects of the API server: lists, watches from there, watches on from the last version it saw when a watch
 * ends, and lists anew when the server has forgotten that version. Runs until the signal aborts.
 */
export async function reflect<T extends WatchedObject>(
  options: ReflectorOptions,
  target: ReflectorTarget<T>,
  deps: ReflectorDeps,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random = Math.random } = deps;
  const backoff = new Backoff(retry, random);
  let version: string | undefined;
  let garbage = 0;
  while (!signal.aborted) {
    try {
      if (version === undefined) {
        const list = await listAll<T>(deps.client, options, signal);
        target.replaced(list.items);
        version = list.resourceVersion;
        backoff.reset();
      }
      const began = clock.now();
      const seconds = Math.round(watchSeconds * (1 + random()));
      const request = { ...options, resourceVersion: version, timeoutSeconds: seconds };
      for await (const events of watchStream(deps.client, request, signal)) {
        for (const { type, object } of events) {
          if (type === 'DELETED') target.removed(object as T);
          else if (type !== 'BOOKMARK') target.changed(object as T);
          version = object.metadata?.resourceVersion ?? version;
        }
        backoff.reset();
        garbage = 0;
      }
      if (clock.now() - began < shortWatchMs) await clock.sleep(backoff.next(), signal);
    } catch (err) {
      signal.throwIfAborted();
      // Twice what is no event at one place: perhaps it is the place.
      if (err instanceof ApiError && err.failure.code === 'garbage' && ++garbage > 1) version = undefined;
      const expired = isExpired(err);
      // Whoever may look again is told so by a new list.
      if (expired || statusOf(err) === 403) version = undefined;
      target.failed?.(err);
      const retryInMs = expired && backoff.failures === 0 ? 0 : backoff.next();
      deps.log.debug({ path: options.path, err: errorText(err), retryInMs }, 'watch failed');
      const ended = await sleepUntilRecovery(retryInMs, deps.client, clock, signal);
      if (ended === 'recovered') await clock.sleep(Math.round(random() * spreadMs), signal);
      if (expired) backoff.next();
    }
  }
}
