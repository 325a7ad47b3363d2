import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { errnoOf, errorText } from '../../base/errors.js';
import { criError } from '../contract/cri-error.js';

const cgroupRoot = '/sys/fs/cgroup';

export const cgroupVersion = (): 1 | 2 => (existsSync(`${cgroupRoot}/cgroup.controllers`) ? 2 : 1);

/** Limits that Docker's API has no word for. */
export interface LateLimits {
  readonly hugepages?: readonly v1.HugepageLimit[] | undefined;
  readonly unified?: Readonly<Record<string, string>> | undefined;
}

/**
 * Written into the container's cgroup when it has one, which is from its start on; until then those of the pod's own cgroup, its parent,
 * hold. Nothing is done for a process that has ended.
 */
export async function writeLateLimits(
  pid: number,
  { hugepages = [], unified = {} }: LateLimits,
  subject: string,
  root = cgroupRoot,
): Promise<void> {
  if (hugepages.length === 0 && Object.keys(unified).length === 0) return;
  const [cgroups, mountInfo] = await Promise.all([
    readFile(`/proc/${pid}/cgroup`, 'utf8').catch(goneIsEmpty),
    readFile('/proc/self/mountinfo', 'utf8'),
  ]);
  if (cgroups === '') return;
  await limitHugepages(hugepages, (pageSize) => hugetlbFile(cgroups, mountInfo, cgroupVersion(), pageSize), subject);
  const folder = `${root}${unifiedPath(cgroups) ?? ''}`;
  for (const [key, value] of Object.entries(unified)) {
    try {
      // Never created: a file that is not there is a controller that this cgroup does not have.
      await writeFile(`${folder}/${key}`, value, { flag: 'r+' });
    } catch (err) {
      const what = `set ${key} of ${subject} to ${value}`;
      throw criError('failed-precondition', `${what}: ${errorText(err)}`, err);
    }
  }
}

function unifiedPath(cgroups: string): string | undefined {
  return /^0::(.*)$/m.exec(cgroups)?.[1];
}

/** The file of a limit in the cgroup of a process; undefined where its hierarchy has no such controller. */
export function hugetlbFile(cgroups: string, mountInfo: string, version: 1 | 2, pageSize: string): string | undefined {
  if (version === 2) {
    const path = unifiedPath(cgroups);
    return path === undefined ? undefined : `${cgroupRoot}${path}/hugetlb.${pageSize}.max`;
  }
  const lines = cgroups.split('\n').map((line) => line.split(':'));
  const path = lines.find(([, controllers = '']) => controllers.split(',').includes('hugetlb'))?.[2];
  const mount = mountInfo.split('\n').find((line) => / - cgroup \S+ (\S+,)?hugetlb(,|$)/.test(line));
  if (path === undefined || mount === undefined) return undefined;
  return `${mount.split(' ')[4] ?? ''}${path}/hugetlb.${pageSize}.limit_in_bytes`;
}

/** A limit of none on a machine that does not count them is kept as it is: there is nothing to use up. */
async function limitHugepages(
  limits: readonly v1.HugepageLimit[],
  fileOf: (pageSize: string) => string | undefined,
  subject: string,
): Promise<void> {
  for (const { pageSize = '', limit = 0 } of limits) {
    if (!/^\d+[KMG]B$/.test(pageSize)) {
      throw criError('invalid-argument', `limit huge pages of ${subject}: "${pageSize}" is no page size`);
    }
    const file = fileOf(pageSize);
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
