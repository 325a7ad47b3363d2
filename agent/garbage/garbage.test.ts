import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planContainerRemoval, type DeadContainer } from './container-policy.js';
import {
  defaultImagePolicy,
  imageHold,
  planImageRemoval,
  planUnusedImages,
  stayText,
  whyImageStays,
  type ImageFact,
} from './image-policy.js';
import { planLogTidy, rotatedLogName } from './log-rotation-plan.js';

const now = 10_000_000;
const image = (id: string, more: Partial<ImageFact> = {}): ImageFact => ({
  id,
  names: [`${id}:latest`],
  sizeBytes: 100,
  freesBytes: 100,
  pinned: false,
  imported: false,
  firstSeen: 0,
  lastUsed: 0,
  ...more,
});
const disk = (availableBytes: number): { capacityBytes: number; availableBytes: number } => ({
  capacityBytes: 1000,
  availableBytes,
});

describe('images', () => {
  const noUsers = new Map<string, string>();

  test('below the high mark nothing goes', () => {
    expect(planImageRemoval([image('a')], noUsers, disk(160), defaultImagePolicy, now)).toEqual({
      remove: [],
      wantedBytes: 0,
      freedBytes: 0,
    });
  });

  test('from the high mark on the longest unused go until the low mark is reached', () => {
    const images = [
      image('new', { lastUsed: 30 }),
      image('old', { lastUsed: 10, freesBytes: 60 }),
      image('mid', { lastUsed: 20 }),
    ];
    const plan = planImageRemoval(images, noUsers, disk(100), defaultImagePolicy, now);
    expect(plan.wantedBytes).toBe(100);
    expect(plan.remove.map((removal) => removal.image.id)).toEqual(['old', 'mid']);
    expect(plan.remove[0]?.why).toBe('image filesystem is 90% full (images go from 85% down to 80%)');
  });

  test('an image over its age goes whatever the disk has left', () => {
    const policy = { ...defaultImagePolicy, maxAgeMs: 1000 };
    const images = [image('fresh', { lastUsed: now - 1000 }), image('stale', { lastUsed: now - 1001 })];
    expect(planImageRemoval(images, noUsers, disk(900), policy, now).remove.map((r) => r.image.id)).toEqual(['stale']);
  });

  test.each([
    ['in use by id', image('a'), new Map([['a', 'container x of pod n/p']]), 'used by container x of pod n/p'],
    ['in use by name', image('a'), new Map([['a:latest', 'volume v of pod n/p']]), 'used by volume v of pod n/p'],
    ['pinned', image('a', { pinned: true }), noUsers, 'pinned'],
    ['imported', image('a', { imported: true }), noUsers, 'imported from an archive, nobody could pull it again'],
    ['young', image('a', { firstSeen: now - 60_000 }), noUsers, 'came less than the minimum age ago, may go in 60 s'],
  ])('one that is %s stays', (_name, fact, users, text) => {
    const stays = whyImageStays(fact, users, disk(0), defaultImagePolicy, now);
    expect(stays && stayText(stays, now)).toBe(text);
    expect(planImageRemoval([fact], users, disk(0), defaultImagePolicy, now).remove).toEqual([]);
  });

  test('100 as the high mark turns the thresholds off', () => {
    const policy = { ...defaultImagePolicy, highPercent: 100 };
    expect(planImageRemoval([image('a')], noUsers, disk(0), policy, now).remove).toEqual([]);
    expect(whyImageStays(image('a'), noUsers, disk(0), policy, now)?.why).toBe('enough-space');
  });

  test('a node under disk pressure gives up young ones too, and only what may go', () => {
    const images = [image('young', { firstSeen: now }), image('used'), image('pinned', { pinned: true })];
    const users = new Map([['used', 'someone']]);
    expect(planUnusedImages(images, users, defaultImagePolicy, now).map((r) => r.image.id)).toEqual(['young']);
  });

  test('no plan ever takes an image that is held, nor more than it needs', () => {
    const arbitrary = fc.record({
      id: fc.uuid(),
      size: fc.integer({ min: 1, max: 500 }),
      pinned: fc.boolean(),
      imported: fc.boolean(),
      used: fc.boolean(),
      lastUsed: fc.integer({ min: 0, max: now }),
      firstSeen: fc.integer({ min: 0, max: now }),
    });
    fc.assert(
      fc.property(fc.array(arbitrary), fc.integer({ min: 0, max: 1000 }), fc.boolean(), (drawn, available, aged) => {
        const images = drawn.map(({ id, size, pinned, imported, lastUsed, firstSeen }) =>
          image(id, { freesBytes: size, pinned, imported, lastUsed, firstSeen }),
        );
        const users = new Map(drawn.filter(({ used }) => used).map(({ id }) => [id, 'x']));
        const policy = { ...defaultImagePolicy, maxAgeMs: aged ? 5_000_000 : 0 };
        const { remove, wantedBytes, freedBytes } = planImageRemoval(images, users, disk(available), policy, now);
        for (const removal of remove) expect(imageHold(removal.image, users, policy, now)).toBeUndefined();
        const last = remove.at(-1)?.image;
        if (!aged && last) expect(freedBytes - last.freesBytes).toBeLessThan(wantedBytes);
      }),
    );
  });
});

describe('dead containers', () => {
  const dead = (id: string, podUid: string, name: string, createdAt: number): DeadContainer => ({
    id,
    podUid,
    name,
    createdAt,
  });
  const lives = (uid: string): 'alive' | 'ended' | 'absent' =>
    uid === 'gone' ? 'absent' : uid === 'over' ? 'ended' : 'alive';
  const all = [
    dead('1', 'pod', 'a', 1),
    dead('2', 'pod', 'a', 2),
    dead('3', 'pod', 'b', 3),
    dead('4', 'over', 'a', 4),
    dead('5', 'gone', 'a', 5),
  ];
  const ids = (removals: readonly { container: DeadContainer }[]): string[] =>
    removals.map((removal) => removal.container.id).sort();

  test.each([
    ['one of each stays', { maxPerPodContainer: 1, maxContainers: -1, minAgeMs: 0 }, false, ['1', '5']],
    ['none stays', { maxPerPodContainer: 0, maxContainers: -1, minAgeMs: 0 }, false, ['1', '2', '3', '4', '5']],
    ['all stay', { maxPerPodContainer: -1, maxContainers: -1, minAgeMs: 0 }, false, ['5']],
    ['two of the node stay', { maxPerPodContainer: 1, maxContainers: 2, minAgeMs: 0 }, false, ['1', '2', '5']],
    ['ended pods give theirs up', { maxPerPodContainer: 1, maxContainers: -1, minAgeMs: 0 }, true, ['1', '4', '5']],
    ['young ones stay', { maxPerPodContainer: 0, maxContainers: -1, minAgeMs: 97 }, false, ['1', '2', '3']],
  ])('%s', (_name, policy, endedPodsToo, expected) => {
    expect(ids(planContainerRemoval(all, lives, policy, 100, endedPodsToo))).toEqual(expected);
  });
});

describe('rotated logs', () => {
  const at = (n: number): string => `0.log.2026010${n}-000000`;

  test('the name carries the time in UTC', () => {
    expect(rotatedLogName('0.log', Date.UTC(2026, 0, 2, 3, 4, 5))).toBe('0.log.20260102-030405');
  });

  test.each([
    ['nothing rotated yet', ['0.log', '1.log'], { leftovers: [], excess: [], compress: [] }],
    ['the newest is plain', ['0.log', at(1)], { leftovers: [], excess: [], compress: [at(1)] }],
    [
      'one file too many',
      ['0.log', `${at(1)}.gz`, `${at(2)}.gz`, `${at(3)}.gz`, at(4)],
      { leftovers: [], excess: [`${at(1)}.gz`], compress: [at(4)] },
    ],
    [
      'a compression was cut off',
      ['0.log', at(1), `${at(1)}.gz.tmp`],
      { leftovers: [`${at(1)}.gz.tmp`], excess: [], compress: [at(1)] },
    ],
    [
      'a compressed file still has its plain one',
      ['0.log', at(1), `${at(1)}.gz`],
      { leftovers: [at(1)], excess: [], compress: [] },
    ],
    [
      'files of others',
      ['0.log', '0.log.tmp', '0.log.bak', '0.log.20260101', '10.log.20260101-000000'],
      { leftovers: [], excess: [], compress: [] },
    ],
  ])('%s', (_name, names, plan) => {
    expect(planLogTidy('0.log', names, 5)).toEqual(plan);
  });

  test('never more than the files allowed are left, with the current and the one it becomes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.uniqueArray(fc.integer({ min: 0, max: 9 })), (maxFiles, days) => {
        const names = days.map((day) => (day % 2 ? `${at(day)}.gz` : at(day)));
        const { leftovers, excess, compress } = planLogTidy('0.log', ['0.log', ...names], maxFiles);
        const left = names.filter((name) => !leftovers.includes(name) && !excess.includes(name));
        expect(left.length + 2).toBeLessThanOrEqual(Math.max(maxFiles, 2));
        for (const name of compress) expect(left).toContain(name);
      }),
    );
  });
});
