import { describe, expect, test } from 'vitest';
import { mebi, settings } from './eviction-fixtures.js';
import { parseThresholds, withContainerfs } from './thresholds.js';

describe('thresholds', () => {
  test('without settings the defaults hold, and the pods as a whole have the memory threshold as well', () => {
    const thresholds = parseThresholds(settings({ evictionHard: undefined }), true);
    expect(thresholds.map(({ signal }) => signal)).toEqual([
      'memory.available',
      'nodefs.available',
      'nodefs.inodesFree',
      'imagefs.available',
      'imagefs.inodesFree',
      'allocatableMemory.available',
    ]);
    expect(thresholds[0]).toEqual({
      signal: 'memory.available',
      value: { kind: 'amount', amount: 100 * mebi },
      graceMs: 0,
      minReclaim: undefined,
    });
  });

  test('own settings replace the defaults, unless merged; 0% and 100% turn a signal off', () => {
    const own = { 'memory.available': '0%', 'nodefs.available': '1Gi' };
    const names = (mergeDefaultEvictionSettings: boolean): string[] =>
      parseThresholds(settings({ evictionHard: own, mergeDefaultEvictionSettings }), true).map(({ signal }) => signal);
    expect(names(false)).toEqual(['nodefs.available']);
    expect(names(true)).toEqual(['nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree']);
  });

  test.each([
    [{ evictionHard: { 'cpu.available': '1' } }, 'read evictionHard: cpu.available: is no eviction signal'],
    [{ evictionHard: { 'memory.available': '-1' } }, 'read evictionHard: memory.available: -1 must not be negative'],
    [
      { evictionHard: { 'memory.available': '120%' } },
      'read evictionHard: memory.available: 120% is no share of 0% to 100%',
    ],
    [
      { evictionHard: { 'memory.available': 'much' } },
      'read evictionHard: memory.available: much is neither a quantity nor a percentage',
    ],
    [
      { evictionSoft: { 'memory.available': '1Gi' } },
      'read evictionSoft: memory.available: has no evictionSoftGracePeriod',
    ],
  ])('%j is refused', (more, message) => {
    expect(() => parseThresholds(settings(more), true)).toThrow(message);
  });

  test('containerfs follows the filesystem it lies on', () => {
    const thresholds = parseThresholds(settings({ evictionHard: undefined }), false);
    const valueOf = (layout: 'one' | 'imagefs' | 'split'): unknown =>
      withContainerfs(thresholds, layout).find(({ signal }) => signal === 'containerfs.available')?.value;
    expect(valueOf('imagefs')).toEqual({ kind: 'share', share: 0.15 });
    expect(valueOf('split')).toEqual({ kind: 'share', share: 0.1 });
  });
});
