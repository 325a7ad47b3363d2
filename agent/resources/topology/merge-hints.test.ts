import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ResourceHints, TopologyHint } from './hints.js';
import { mergeHints, type MergeOptions } from './merge-hints.js';

describe('merging hints', () => {
  const options = (policy: MergeOptions['policy'], nodes = [0, 1]): MergeOptions => ({
    policy,
    preferClosest: false,
    nodes,
    distance: (a, b) => (a === b ? 10 : 20),
  });
  const both: TopologyHint = { numaNodes: [0, 1], preferred: false };
  const only = (node: number, preferred = true): TopologyHint => ({ numaNodes: [node], preferred });
  const cpu = (...hints: TopologyHint[]): ResourceHints => new Map([['cpu', hints]]);
  const gpu = (...hints: TopologyHint[]): ResourceHints => new Map([['gpu', hints]]);

  test.each([
    ['they agree', 'restricted', [cpu(only(0), only(1), both), gpu(only(1), both)], [1], true],
    ['they disagree, restricted', 'restricted', [cpu(only(0), both), gpu(only(1), both)], [0], false],
    ['they disagree, best effort', 'best-effort', [cpu(only(0), both), gpu(only(1), both)], [0], true],
    ['one has no preference', 'single-numa-node', [cpu(only(1)), new Map()], [1], true],
    ['one cannot serve at all', 'single-numa-node', [cpu(only(1)), gpu()], undefined, false],
    ['two nodes are needed, single node', 'single-numa-node', [cpu({ ...both, preferred: true })], undefined, false],
    ['two nodes are needed, restricted', 'restricted', [cpu({ ...both, preferred: true })], [0, 1], true],
    ['nobody asks', 'restricted', [new Map()], [0, 1], true],
    ['policy none', 'none', [gpu()], undefined, true],
  ] as const)('%s', (_name, policy, providers, numaNodes, admit) => {
    expect(mergeHints(providers, options(policy))).toEqual({ numaNodes, admit });
  });

  test('with prefer-closest-numa-nodes two near nodes win over two far ones', () => {
    const near = {
      ...options('best-effort', [0, 1, 2, 3]),
      preferClosest: true,
      distance: (a: number, b: number) => (a === b ? 10 : a + b === 5 ? 12 : 30),
    };
    const pair = (a: number, b: number): TopologyHint => ({ numaNodes: [a, b], preferred: true });
    expect(mergeHints([cpu(pair(0, 1), pair(2, 3))], near).numaNodes).toEqual([2, 3]);
  });

  test('eight nodes and four providers are merged in a moment', () => {
    const nodes = [0, 1, 2, 3, 4, 5, 6, 7];
    const every = Array.from({ length: 255 }, (_, n): TopologyHint => {
      const numaNodes = nodes.filter((node) => ((n + 1) & (1 << node)) !== 0);
      return { numaNodes, preferred: numaNodes.length === 1 };
    });
    const times = Array.from({ length: 3 }, () => {
      const start = performance.now();
      expect(
        mergeHints([cpu(...every), gpu(...every), cpu(...every), gpu(...every)], options('restricted', nodes)),
      ).toEqual({ numaNodes: [0], admit: true });
      return performance.now() - start;
    });
    // The best of them: the machine is shared.
    expect(Math.min(...times)).toBeLessThan(2000);
  });

  test('what is admitted under restricted is a set every provider named as preferred', () => {
    const hint = fc.record({
      numaNodes: fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { minLength: 1 }),
      preferred: fc.boolean(),
    });
    const lists = fc.array(fc.array(hint, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(lists, (drawn) => {
        const sorted = drawn.map((list) =>
          list.map((each) => ({ ...each, numaNodes: each.numaNodes.sort((a, b) => a - b) })),
        );
        const { numaNodes, admit } = mergeHints(
          sorted.map((list) => cpu(...list)),
          options('restricted', [0, 1, 2]),
        );
        const agrees = (nodes: readonly number[]): boolean =>
          sorted.every((list) => list.some((each) => each.preferred && each.numaNodes.join() === nodes.join()));
        const possible = [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]].some(agrees);
        expect(admit).toBe(possible);
        if (admit) expect(agrees(numaNodes ?? [])).toBe(true);
      }),
    );
  });
});
