import { expect, test } from 'vitest';
import { EventHub } from './event-hub.js';

const event = (id: string) => ({ id, sandbox: undefined, type: 'CONTAINER_CREATED_EVENT', atMs: 1 }) as const;

test('a reader gets what comes after it subscribed, in order, and ends with its signal', async () => {
  const hub = new EventHub();
  hub.emit(event('before'));
  const stop = new AbortController();
  const events = hub.subscribe(stop.signal);
  hub.emit(event('a'));
  const seen: string[] = [];
  const reading = (async () => {
    for await (const one of events) {
      seen.push(one.id);
      if (one.id === 'a') hub.emit(event('b'));
      if (one.id === 'b') stop.abort();
    }
  })();
  await reading;
  expect(seen).toEqual(['a', 'b']);
});

test('readers do not take from each other; one that fell far behind keeps the newest', async () => {
  const hub = new EventHub();
  const stop = new AbortController();
  const [one, two] = [hub.subscribe(stop.signal), hub.subscribe(stop.signal)];
  for (let index = 0; index < 10_001; index++) hub.emit(event(String(index)));
  expect((await one.next()).value?.id).toBe('1');
  expect((await two.next()).value?.id).toBe('1');
  stop.abort();
  expect((await one.next()).done).toBe(true);
});

test('a signal that is aborted already reads nothing', async () => {
  const hub = new EventHub();
  const events = hub.subscribe(AbortSignal.abort());
  hub.emit(event('a'));
  expect((await events.next()).done).toBe(true);
});
