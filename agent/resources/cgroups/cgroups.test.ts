import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import type { ProgramResult, RunProgram } from '../../../base/run-program.js';
import type { Pod, PodUid } from '../../api/index.js';
import { CgroupFiles } from './cgroup-files.js';
import { cgroupNames } from './cgroup-names.js';
import { Kubepods } from './kubepods.js';
import { SystemdUnits } from './systemd-units.js';

const { signal } = new AbortController();
const deps = { log: silentLogger, clock: systemClock };
const limitOptions = { cpuCfsQuota: true, cpuPeriodUs: 100_000, podPidsLimit: 64, hugepageSizes: ['2Mi'] };
const uid = '1234-ab' as PodUid;
const pod: Pod = {
  metadata: { uid },
  spec: {
    containers: [
      { name: 'c', resources: { requests: { cpu: '500m', memory: '1Mi' }, limits: { cpu: '1', memory: '64Mi' } } },
    ],
  },
};

test.each([
  ['cgroupfs', '/', '/kubepods/burstable/pod1234-ab'],
  ['cgroupfs', '/a/b', '/a/b/kubepods/burstable/pod1234-ab'],
  ['systemd', '/', '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1234_ab.slice'],
  [
    'systemd',
    '/my.slice',
    '/my.slice/my-kubepods.slice/my-kubepods-burstable.slice/my-kubepods-burstable-pod1234_ab.slice',
  ],
] as const)('driver %s below %s', (driver, root, expected) => {
  const names = cgroupNames(driver, root);
  const path = names.pod(uid, 'Burstable');
  expect(path).toBe(expected);
  expect(names.uidOf(path.slice(path.lastIndexOf('/') + 1))).toBe(uid);
  expect(names.uidOf('burstable')).toBeUndefined();
  expect(names.uidOf('kubepods-burstable.slice')).toBeUndefined();
});

describe('v2, on files laid out as the kernel does', () => {
  let root: string;
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  /** The kernel makes these with the folder; here the folders are there first. */
  const layOut = (cgroup: string): void => {
    mkdirSync(join(root, cgroup), { recursive: true });
    writeFileSync(join(root, cgroup, 'cgroup.controllers'), 'cpuset cpu io memory hugetlb pids rdma\n');
    writeFileSync(join(root, cgroup, 'cgroup.subtree_control'), '\n');
    writeFileSync(join(root, cgroup, 'cgroup.procs'), '');
  };
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'berth-cgroup2-'));
    for (const cgroup of ['', 'kubepods', 'kubepods/burstable', 'kubepods/besteffort']) layOut(cgroup);
  });
  afterEach(() => rmSync(root, { recursive: true }));

  test('controllers are handed down, limits written', async () => {
    const files = new CgroupFiles({ version: 2, root }, deps);
    const kubepods = new Kubepods(limitOptions, { files, names: cgroupNames('cgroupfs', '/'), units: undefined });
    await kubepods.open({ cpuShares: 2048, memoryBytes: 1000, pids: 99 }, signal);
    for (const cgroup of ['', 'kubepods', 'kubepods/burstable'])
      expect(read(`${cgroup}/cgroup.subtree_control`)).toBe('+cpu +cpuset +memory +hugetlb +pids +io');
    expect(read('kubepods/cpu.weight')).toBe('79');
    expect(read('kubepods/memory.max')).toBe('1000');
    expect(read('kubepods/pids.max')).toBe('99');
    expect(read('kubepods/besteffort/cpu.weight')).toBe('1');

    await kubepods.ensure(pod, signal);
    const folder = 'kubepods/burstable/pod1234-ab';
    expect(read(`${folder}/cgroup.subtree_control`)).toBe('+cpu +cpuset +memory +hugetlb +pids +io');
    expect(read(`${folder}/cpu.weight`)).toBe('20');
    expect(read(`${folder}/cpu.max`)).toBe('100000 100000');
    expect(read(`${folder}/memory.max`)).toBe(String(64 * 2 ** 20));
    expect(read(`${folder}/pids.max`)).toBe('64');
    expect(read(`${folder}/hugetlb.2MB.max`)).toBe('0');
    expect(read('kubepods/burstable/cpu.weight')).toBe('20');
    expect(await kubepods.present(signal)).toEqual([uid]);

    await kubepods.setLimits(pod, { cpuQuotaUs: -1, memoryBytes: -1 }, signal);
    expect(read(`${folder}/cpu.max`)).toBe('max 100000');
    expect(read(`${folder}/memory.max`)).toBe('max');
  });
});

describe('systemd, by the calls that are made', () => {
  const calls: string[] = [];
  let words = '';
  const run: RunProgram = (options) => {
    calls.push(options.argv.slice(6).join(' '));
    const result: ProgramResult = {
      argv: options.argv,
      end: { kind: 'exited', code: words === '' ? 0 : 1 },
      stdout: Buffer.alloc(0),
      stderr: words,
      fd3: Buffer.alloc(0),
      durationMs: 0,
    };
    return Promise.resolve(result);
  };
  const cgroup = cgroupNames('systemd', '/').pod(uid, 'Burstable');
  const limits = { cpuShares: 512, cpuQuotaUs: 25_000, cpuPeriodUs: 100_000, memoryBytes: 4096, pids: 10 };
  beforeEach(() => {
    calls.length = 0;
    words = '';
  });

  test('a slice is started below its parent, with its limits in v2 words', async () => {
    await new SystemdUnits(run, 2).startSlice(cgroup, limits, signal);
    expect(calls).toEqual([
      'StartTransientUnit ssa(sv)a(sa(sv)) kubepods-burstable-pod1234_ab.slice replace 11 ' +
        'Description s berth pods kubepods-burstable-pod1234_ab.slice Wants as 1 kubepods-burstable.slice DefaultDependencies b false ' +
        'MemoryAccounting b true CPUAccounting b true TasksAccounting b true ' +
        'CPUWeight t 20 CPUQuotaPeriodUSec t 100000 CPUQuotaPerSecUSec t 250000 MemoryMax t 4096 TasksMax t 10 0',
    ]);
  });

  test('limits change in v1 words; none is the largest number', async () => {
    await new SystemdUnits(run, 1).setLimits(cgroup, { cpuShares: 2, memoryBytes: -1 }, signal);
    expect(calls).toEqual([
      'SetUnitProperties sba(sv) kubepods-burstable-pod1234_ab.slice true 2 CPUShares t 2 MemoryLimit t 18446744073709551615',
    ]);
  });

  test('one that is there already, or gone already, is a success; any other refusal is not', async () => {
    const units = new SystemdUnits(run, 2);
    words = 'Call failed: Unit kubepods.slice was already loaded or has a fragment file.';
    await units.startSlice('/kubepods.slice', {}, signal);
    await expect(units.stopSlice(cgroup, signal)).rejects.toThrow('already loaded');
    words = 'Call failed: Unit kubepods-burstable-pod1234_ab.slice not loaded.';
    await units.stopSlice(cgroup, signal);
  });
});
