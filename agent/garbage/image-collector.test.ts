import { expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import type { ImageService } from '../../cri/index.js';
import { ImageCollector } from './image-collector.js';
import type { ImagePolicy } from './image-policy.js';

const { signal } = new AbortController();

/** Images of a byte each on the machine's own root, which is fuller than `policy` allows. */
function open(ids: string[], mountpoint = '/', minAgeMs = 0) {
  const events: string[] = [];
  const images: Partial<ImageService> = {
    listImages: () => Promise.resolve({ images: ids.map((id) => ({ id, size: 1 })) }),
    imageFsInfo: () => Promise.resolve({ imageFilesystems: [{ fsId: { mountpoint } }] }),
    removeImage: ({ image }) => {
      ids.splice(ids.indexOf(image?.image ?? ''), 1);
      return Promise.resolve({});
    },
  };
  const policy: ImagePolicy = { highPercent: 1, lowPercent: 0, minAgeMs, maxAgeMs: 0 };
  const collector = new ImageCollector(policy, {
    clock: { now: () => 1_000_000, sleep: () => Promise.resolve() },
    log: silentLogger,
    events: { record: (_object, type, reason, message) => void events.push(`${type} ${reason}: ${message}`) },
    images: images as ImageService,
    node: { kind: 'Node', name: 'n' },
    users: () => Promise.resolve(new Map()),
  });
  return { collector, events, ids };
}

test('a disk that stays full is a failure, told each time, and as a failure from the second time on', async () => {
  const { collector, events, ids } = open(['a', 'b']);
  const words = (freed: number): RegExp =>
    new RegExp(
      `^Warning FreeDiskSpaceFailed: Insufficient free disk space on the node's image filesystem \\(\\d+% of [\\d.]+ [KMGT]iB used\\)\\. Failed .*\\(freed ${freed} bytes\\)\\. Investigate `,
    );
  await expect(collector.collect(signal)).rejects.toMatchObject({ failure: { code: 'still-short', freedBytes: 2 } });
  expect(ids).toEqual([]);
  expect(events).toEqual([expect.stringMatching(words(2))]);
  await expect(collector.collect(signal)).rejects.toThrow('Insufficient free disk space');
  expect(events.slice(1)).toEqual([
    expect.stringMatching(words(0)),
    expect.stringMatching(/^Warning ImageGCFailed: Insufficient free disk space/),
  ]);
});

test('what a node short of disk would get is what it gets, young images too', async () => {
  const { collector, ids } = open(['a', 'b'], '/', 60_000);
  expect(await collector.reclaimableBytes(signal)).toBe(2);
  expect(ids).toEqual(['a', 'b']);
  expect((await collector.removeUnused(signal)).freedBytes).toBe(2);
  expect(ids).toEqual([]);
});

test('a filesystem without a capacity is told by the collection and not by those who only ask', async () => {
  const { collector, events } = open(['a'], '/proc');
  expect((await collector.explain(signal)).map(({ image }) => image.id)).toEqual(['a']);
  expect(events).toEqual([]);
  await expect(collector.collect(signal)).rejects.toMatchObject({ failure: { code: 'no-capacity' } });
  expect(events).toEqual(['Warning InvalidDiskCapacity: invalid capacity 0 on image filesystem']);
});
