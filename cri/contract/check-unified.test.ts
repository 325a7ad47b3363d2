import { expect, test } from 'vitest';
import { isCriCode, type CriCode } from './cri-error.js';
import { checkUnified } from './check-unified.js';

test.each<[string, Record<string, string> | undefined, 1 | 2, CriCode | undefined]>([
  ['nothing asked, v1', undefined, 1, undefined],
  ['an empty map, v1', {}, 1, undefined],
  ['something, v1', { 'memory.high': '1' }, 1, 'failed-precondition'],
  [
    'files of a cgroup, v2',
    { 'memory.oom.group': '1', 'hugetlb.2MB.max': '0', 'memory.swap.max': 'max' },
    2,
    undefined,
  ],
  ['a path', { '../memory.high': '1' }, 2, 'invalid-argument'],
  ['a file further down', { 'child/memory.high': '1' }, 2, 'invalid-argument'],
  ['no name at all', { '': '1' }, 2, 'invalid-argument'],
])('%s', (_what, unified, version, refused) => {
  const check = (): void => checkUnified('create container c', unified && { unified }, version);
  if (refused === undefined) check();
  else expect(check).toThrow(expect.toSatisfy((err) => isCriCode(err, refused)));
});
