import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { errnoOf, errorText } from '../../base/errors.js';
import { criError } from '../contract/cri-error.js';

export type HugepageLimits = readonly v1.HugepageLimit[];

/** The file of a limit in the cgroup of a process; undefined where its hierarchy has no such controller. */
export function limitFile(
  cgroups: string,
  mountInfo: string,
  isUnified: boolean,
  pageSize: string,
): string | undefined {
  const lines = cgroups.split('\n').map((line) => line.split(':'));
  if (isUnified) {
    const path = lines.find(([id]) => id === '0')?.[2];
    return path === undefined ? undefined : `/sys/fs/cgroup${path}/hugetlb.${pageSize}.max`;
  }
  const path = lines.find(([, controllers = '']) => controllers.split(',').includes('hugetlb'))?.[2];
  const mount = mountInfo.split('\n').find((line) => / - cgroup \S+ (\S+,)?hugetlb(,|$)/.test(line));
  if (path === undefined || mount === undefined) return undefined;
  return `${mount.split(' ')[4] ?? ''}${path}/hugetlb.${pageSize}.limit_in_bytes`;
}

/**
 * Docker's API has no word for limits on huge pages: they are written into the container's cgroup when it has one, which is from its
 * start on. Until then those of the pod's own cgroup, its parent, hold. A limit of none on a machine that does not count them is kept
 * as it is: there is nothing to use up.
 */
export async function limitHugepages(pid: number, limits: HugepageLimits, subject: string): Promise<void> {
  if (limits.length === 0) return;
  const [cgroups, mountInfo] = await Promise.all([
    readFile(`/proc/${pid}/cgroup`, 'utf8').catch(goneIsEmpty),
    readFile('/proc/self/mountinfo', 'utf8'),
  ]);
  // It has ended already.
  if (cgroups === '') return;
  const isUnified = existsSync('/sys/fs/cgroup/cgroup.controllers');
  for (const { pageSize = '', limit = 0 } of limits) {
    if (!/^\d+[KMG]B$/.test(pageSize)) {
      throw criError('invalid-argument', `limit huge pages of ${subject}: "${pageSize}" is no page size`);
    }
    const file = limitFile(cgroups, mountInfo, isUnified, pageSize);
    if (file === undefined && limit === 0) continue;
    try {
      // Never created: a file that is not there is a page size or a controller this machine does not have.
      await writeFile(file ?? '', String(limit), { flag: 'r+' });
    } catch (err) {
      if (limit === 0 && errnoOf(err) === 'ENOENT') continue;
      const what = `limit huge pages of ${subject} to ${limit} bytes of ${pageSize}`;
      throw criError('failed-precondition', `${what}: ${errorText(err)}`, err);
    }
  }
}

function goneIsEmpty(err: unknown): string {
  const errno = errnoOf(err);
  if (errno === 'ENOENT' || errno === 'ESRCH') return '';
  throw err;
}
