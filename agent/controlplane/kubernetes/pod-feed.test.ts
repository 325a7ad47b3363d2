import { expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import type { Pod } from '../../api/index.js';
import { PodCache } from './pod-cache.js';
import { PodFeed, type PodFeedDeps } from './pod-feed.js';

test('when the server does not even tell of the node, the last known pods are taken at once', async () => {
  const kept: Pod = { metadata: { name: 'web', namespace: 'default', uid: 'one' } };
  // Patience has no end here.
  const clock = { ...systemClock, sleep: () => new Promise<void>(() => {}) };
  const cache = new PodCache(clock);
  const feed = new PodFeed('node', {
    ...{ cache, clock, log: silentLogger },
    lastKnown: { startingWith: () => [kept] } as unknown as PodFeedDeps['lastKnown'],
    node: { current: undefined, refresh: () => Promise.resolve() },
    ...({} as Pick<PodFeedDeps, 'client' | 'statuses'>),
  });
  const stop = new AbortController();
  const running = feed.run(new Promise(() => {}), stop.signal);
  expect(cache.all()).toEqual([]);
  feed.serverFailed();
  await expect.poll(() => cache.all().map(({ metadata }) => metadata?.name)).toEqual(['web']);
  stop.abort();
  await expect(running).rejects.toThrow('aborted');
});
