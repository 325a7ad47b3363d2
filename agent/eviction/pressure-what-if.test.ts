import { expect, test } from 'vitest';
import { mebi, podOf, settings, observed } from './eviction-fixtures.js';
import { pressureWhatIf } from './pressure-what-if.js';
import { parseThresholds } from './thresholds.js';

test('what if: the arithmetic and the order, in words', () => {
  const text = pressureWhatIf({
    thresholds: parseThresholds(settings({ evictionHard: { 'memory.available': '100Mi' } }), true),
    observations: observed({
      'memory.available': [1124 * mebi, 4096 * mebi],
      'allocatableMemory.available': [60 * mebi, 656 * mebi],
    }),
    layout: 'one',
    pods: [
      podOf('web', { memory: 64 * mebi, memoryRequest: 128 * mebi }),
      podOf('hog', { memory: 512 * mebi, qos: 'BestEffort' }),
      podOf('dns', { memory: 20 * mebi, critical: true, priority: 2_000_000_000 }),
    ],
  });
  expect(text).toBe(
    [
      'memory.available: 1.1Gi of 4Gi available (MemoryPressure)',
      '  hard: below 100Mi: 1.1Gi - 100Mi = 1Gi to spare',
      '  of what all pods may use together, 60Mi of 656Mi available:',
      '  hard: below 100Mi: 60Mi - 100Mi = crossed by 40Mi',
      '  first the node gives back: nothing, this is not freed by removing anything of its own',
      '  ORDER  POD    QOS         PRIORITY    USED   REQUEST  USED-REQUEST  WHY',
      '  1      n/hog  BestEffort  0           512Mi  0        512Mi         uses more than it requested',
      '  never  n/dns  Burstable   2000000000  20Mi   0        20Mi          critical pods are never evicted',
      '  2      n/web  Burstable   0           64Mi   128Mi    -64Mi         within its request: goes after all that are over theirs',
      '',
    ].join('\n'),
  );
});
