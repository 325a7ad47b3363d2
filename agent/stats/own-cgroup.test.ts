import { expect, test } from 'vitest';
import { parseOwnCgroup } from './own-cgroup.js';

test.each<[string, 1 | 2, string, string | undefined]>([
  ['a unit on v2', 2, '0::/system.slice/berth.service\n', '/system.slice/berth.service'],
  ['the root', 2, '0::/\n', undefined],
  ['outside of a namespace', 2, '0::/../other\n', undefined],
  ['a path with a colon', 2, '0::/a:b\n', '/a:b'],
  [
    'a unit on v1',
    1,
    '4:memory:/system.slice/berth.service\n2:cpu,cpuacct:/system.slice/berth.service\n0::/elsewhere\n',
    '/system.slice/berth.service',
  ],
  ['accounted in two places', 1, '4:memory:/a\n2:cpuacct:/\n1:cpu:/\n', undefined],
  ['nothing to read', 1, '', undefined],
])('%s', (_name, version, text, expected) => {
  expect(parseOwnCgroup(text, version)).toBe(expected);
});
