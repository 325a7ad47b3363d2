import { expect, test } from 'vitest';
import type { Clock } from '../../../base/clock.js';
import type { Pod, PodUid } from '../../api/index.js';
import { TokenCache } from './token-cache.js';

const { signal } = new AbortController();
const pod: Pod = {
  metadata: { uid: 'u', name: 'p', namespace: 'n' },
  spec: { containers: [], serviceAccountName: 'sa' },
};

/** A server that issues tokens with a life, on a clock that the test moves. */
class TokenWorld {
  now = 1_000_000;
  issued = 0;
  broken = false;
  readonly cache: TokenCache;

  constructor(seconds: number, random = 0) {
    const clock: Clock = { now: () => this.now, sleep: () => Promise.resolve() };
    const createToken = (): Promise<{ status: { token: string; expirationTimestamp: string } }> => {
      if (this.broken) return Promise.reject(new Error('nobody answers'));
      const expirationTimestamp = new Date(this.now + seconds * 1000).toISOString();
      return Promise.resolve({
        spec: { expirationSeconds: seconds },
        status: { token: `t${++this.issued}`, expirationTimestamp },
      });
    };
    this.cache = new TokenCache({ objects: { createToken }, clock, random: () => random });
  }

  async token(audience?: string): Promise<string> {
    return (await this.cache.forProjection(pod, { path: 'x', audience }, signal)).token;
  }
}

test('a token is fetched anew at 80 % of its life, or after a day', async () => {
  const hour = new TokenWorld(3600);
  expect([await hour.token(), await hour.token()]).toEqual(['t1', 't1']);
  hour.now += 2879_000;
  expect(await hour.token()).toBe('t1');
  hour.now += 1000;
  expect(await hour.token()).toBe('t2');
  const year = new TokenWorld(365 * 24 * 3600);
  await year.token();
  year.now += 24 * 3600_000;
  expect(await year.token()).toBe('t2');
});

test('the moment varies by up to 10 s', async () => {
  const world = new TokenWorld(3600, 1);
  await world.token();
  world.now += 2870_000;
  expect(await world.token()).toBe('t2');
});

test('each audience has its own; a pod that went has none', async () => {
  const world = new TokenWorld(3600);
  expect([await world.token(), await world.token('vault'), await world.token('vault')]).toEqual(['t1', 't2', 't2']);
  world.cache.drop('u' as PodUid);
  expect(await world.token()).toBe('t3');
});

test('a token that still holds serves on when the server does not answer', async () => {
  const world = new TokenWorld(3600);
  await world.token();
  world.broken = true;
  world.now += 3000_000;
  const kept = await world.cache.forProjection(pod, { path: 'x' }, signal);
  expect(kept).toMatchObject({ token: 't1', refreshAt: world.now + 10_000 });
  world.now += 601_000;
  await expect(world.token()).rejects.toThrow('nobody answers');
});
