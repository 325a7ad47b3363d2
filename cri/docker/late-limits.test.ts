import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hugetlbFile, writeLateLimits } from './late-limits.js';

const mountInfo = [
  '30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory',
  '31 25 0:27 / /sys/fs/cgroup/hugetlb rw,nosuid - cgroup cgroup rw,hugetlb',
].join('\n');
const cgroups = '9:memory:/pod/one\n4:hugetlb:/pod/one\n0::/\n';

test.each<[string, string, string, 1 | 2, string | undefined]>([
  ['v1', cgroups, mountInfo, 1, '/sys/fs/cgroup/hugetlb/pod/one/hugetlb.2MB.limit_in_bytes'],
  ['v2', '0::/pod/one\n', '', 2, '/sys/fs/cgroup/pod/one/hugetlb.2MB.max'],
  ['v1 without the controller', '9:memory:/pod/one\n', mountInfo, 1, undefined],
  ['v1 without its mount', cgroups, mountInfo.split('\n')[0] ?? '', 1, undefined],
])('huge pages, %s', (_what, ofProcess, mounts, version, expected) => {
  expect(hugetlbFile(ofProcess, mounts, version, '2MB')).toBe(expected);
});

test('unified: each file of the cgroup is written, one that is not there is a failure and is not made', async () => {
  const own = /^0::(.*)$/m.exec(await readFile('/proc/self/cgroup', 'utf8'))?.[1] ?? '';
  const root = await mkdtemp(join(tmpdir(), 'brt-cg-'));
  const folder = join(root, own);
  try {
    await mkdir(folder, { recursive: true });
    for (const file of ['memory.high', 'memory.oom.group']) await writeFile(join(folder, file), '');
    const unified = { 'memory.high': '1000000', 'memory.oom.group': '1' };
    await writeLateLimits(process.pid, { unified }, 'container c', root);
    for (const [file, value] of Object.entries(unified)) expect(await readFile(join(folder, file), 'utf8')).toBe(value);
    const absent = writeLateLimits(process.pid, { unified: { 'pids.max': '7' } }, 'container c', root);
    await expect(absent).rejects.toThrow(/set pids\.max of container c to 7: .*ENOENT/);
    await writeLateLimits(2 ** 22 + 1, { unified: { 'pids.max': '7' } }, 'a process that has ended', root);
  } finally {
    await rm(root, { recursive: true });
  }
});
