import { expect, test } from 'vitest';
import { clusterProblems } from './cluster-problems.js';

test('what is wrong is told once: a server that is away explains the heartbeats that fail', () => {
  const lease = 'node lease could not be renewed: refused';
  expect(clusterProblems(undefined, lease)).toEqual([]);
  expect(clusterProblems({ reachable: true, problems: [] }, '')).toEqual([]);
  expect(clusterProblems({ reachable: true, problems: ['serving certificate'] }, lease)).toEqual([
    'serving certificate',
    lease,
  ]);
  expect(clusterProblems({ reachable: false, problems: ['away'] }, lease)).toEqual(['away']);
  expect(clusterProblems({ reachable: false, problems: [] }, 'not registered yet')).toEqual(['not registered yet']);
});
