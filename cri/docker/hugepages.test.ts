import { expect, test } from 'vitest';
import { limitFile } from './hugepages.js';

const mountInfo = [
  '30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory',
  '31 25 0:27 / /sys/fs/cgroup/hugetlb rw,nosuid - cgroup cgroup rw,hugetlb',
].join('\n');
const cgroups = '9:memory:/pod/one\n4:hugetlb:/pod/one\n0::/\n';

test.each<[string, string, string, boolean, string | undefined]>([
  ['v1', cgroups, mountInfo, false, '/sys/fs/cgroup/hugetlb/pod/one/hugetlb.2MB.limit_in_bytes'],
  ['v2', '0::/pod/one\n', '', true, '/sys/fs/cgroup/pod/one/hugetlb.2MB.max'],
  ['v1 without the controller', '9:memory:/pod/one\n', mountInfo, false, undefined],
  ['v1 without its mount', cgroups, mountInfo.split('\n')[0] ?? '', false, undefined],
])('%s', (_what, ofProcess, mounts, isUnified, expected) => {
  expect(limitFile(ofProcess, mounts, isUnified, '2MB')).toBe(expected);
});
