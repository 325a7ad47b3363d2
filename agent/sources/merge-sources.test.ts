import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Pod, PodSourceName } from '../api/index.js';
import { mergeSources } from './merge-sources.js';
import type { SourceSnapshot } from './pod-source.js';

const pod = (uid: string, name: string, creationTimestamp?: string): Pod => ({
  metadata: { uid, name, creationTimestamp },
});
const from = (...snapshots: Array<[PodSourceName, Pod[]]>): Map<PodSourceName, SourceSnapshot> =>
  new Map(snapshots.map(([source, pods]) => [source, { source, pods, objects: [] }]));

test('not synced until every source delivered, even an empty set', () => {
  expect(mergeSources(['file', 'api'], from(['file', [pod('1', 'a')]]))).toMatchObject({
    allSynced: false,
    waitingFor: ['api'],
  });
  expect(mergeSources(['file', 'api'], from(['file', []], ['api', []]))).toMatchObject({
    allSynced: true,
    waitingFor: [],
    pods: [],
  });
  expect(mergeSources([], new Map()).allSynced).toBe(true);
});

test('one name twice in a source: the second is ignored and told; in two sources both count', () => {
  const merged = mergeSources(
    ['file', 'api'],
    from(['file', [pod('1', 'a'), pod('2', 'a')]], ['api', [pod('3', 'a'), pod('1', 'b')]]),
  );
  expect(merged.pods.map((each) => each.metadata?.uid)).toEqual(['1', '3']);
  expect(merged.ignored.map(({ pod, source, message }) => [pod.metadata?.uid, source, message])).toEqual([
    ['2', 'file', 'Duplicate pod name default/a in source file; the first one counts'],
    ['1', 'api', 'Pod default/b has the UID 1 of another pod; the first one counts'],
  ]);
});

test('oldest first, static pods before all', () => {
  const api = [pod('new', 'b', '2026-01-02T00:00:00Z'), pod('old', 'c', '2026-01-01T00:00:00Z')];
  const merged = mergeSources(['api', 'file'], from(['file', [pod('static', 'a')]], ['api', api]));
  expect(merged.pods.map((each) => each.metadata?.uid)).toEqual(['static', 'old', 'new']);
});

test('each pod is either merged once or told as ignored', () => {
  const pods = fc.array(
    fc.tuple(fc.constantFrom('1', '2', '3', '4'), fc.constantFrom('a', 'b', 'c')).map(([uid, name]) => pod(uid, name)),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(pods, pods, (file, api) => {
      const merged = mergeSources(['file', 'api'], from(['file', file], ['api', api]));
      expect(merged.pods.length + merged.ignored.length).toBe(file.length + api.length);
      expect(new Set(merged.pods.map((each) => each.metadata?.uid)).size).toBe(merged.pods.length);
      expect([...merged.pods, ...merged.ignored.map((each) => each.pod)]).toEqual(
        expect.arrayContaining([...file, ...api]),
      );
    }),
  );
});
