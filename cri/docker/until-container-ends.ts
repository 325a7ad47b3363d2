import { setTimeout as delay } from 'node:timers/promises';
import { unlessGone } from '../contract/cri-error.js';
import type { DockerApi } from './docker-api.js';

/** Most commands are over by then, and cost no call more. */
const watchAfterMs = 250;
/** How long nothing may come after the end of the container before its output is taken to be over. */
const silenceMs = 500;

/**
 * Resolves when the container runs no more, or is gone: true. False when that cannot be known: the signal aborted, or Docker went away, and
 * with it every connection.
 */
export async function containerEnded(api: DockerApi, id: string, signal: AbortSignal): Promise<boolean> {
  const wait = {
    method: 'POST',
    path: `/containers/${id}/wait`,
    query: { condition: 'not-running' },
    verb: `wait for the end of ${id}`,
    deadlineMs: null,
    changesNothing: true,
  } as const;
  try {
    await delay(watchAfterMs, undefined, { signal });
    await unlessGone(api.call(wait, signal));
    return true;
  } catch {
    return false;
  }
}

/**
 * What comes of a connection, to its end or, some silence after the end of its container, no further. Docker forgets the end of a command that
 * it hears of after the end of the container, and of a container that ends while a client attaches: it then leaves the connection open for ever.
 */
export async function* untilContainerEnds<T>(output: AsyncIterable<T>, ended: Promise<boolean>): AsyncGenerator<T> {
  const chunks = output[Symbol.asyncIterator]();
  let over = false;
  let wake = (): void => {};
  void ended.then((known) => {
    over = known;
    if (known) wake();
  });
  while (true) {
    const next = chunks.next();
    // Left behind, it fails when the connection is closed.
    next.catch(() => {});
    // One promise a chunk: racing with the end itself would keep every chunk until then.
    const toldOver = new Promise<undefined>((resolve) => {
      wake = () => resolve(undefined);
      if (over) wake();
    });
    const first = (await Promise.race([next, toldOver])) ?? (await orSilence(next));
    if (first === undefined || first.done === true) return;
    yield first.value;
  }
}

/** Undefined when it did not come in time. */
async function orSilence<T>(next: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<undefined>((resolve) => {
    // After a process stood still the timer comes first, and what waits to be read right after it.
    timer = setTimeout(() => setImmediate(() => resolve(undefined)), silenceMs);
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}
