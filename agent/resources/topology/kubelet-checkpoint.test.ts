import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { podUidOf } from '../../api/index.js';
import { CpuManager, type CpuManagerState } from './cpu-manager.js';
import { formatCpuSet } from './cpu-set.js';
import { KubeletCheckpoint } from './kubelet-checkpoint.js';
import { cpuStateChecksum } from './state-checksums.js';
import { machine, guaranteed, cpuOptions } from './topology-fixtures.js';

test('a checkpoint has the kubelet shape; one that makes no sense is set aside', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-checkpoint-'));
  try {
    const path = join(folder, 'cpu_manager_state');
    const file = new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum);
    const manager = new CpuManager(machine(1, 2), cpuOptions);
    manager.allocate(guaranteed('p', { c: 1 }), 'c', undefined);
    await file.write(manager.state());
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      policyName: 'static',
      defaultCpuSet: '0-1,3',
      entries: { p: { c: '2' } },
      checksum: expect.any(Number) as number,
    });
    const again = new CpuManager(machine(1, 2), cpuOptions);
    expect((await file.read(1, (state) => again.restore(state))).kind).toBe('read');
    expect(again.state()).toEqual(manager.state());
    await writeFile(path, '{"policyName":"static","defaultCpuSet":"0-9","entries":{"p":{"c":"77"}},"checksum":0}');
    const read = await file.read(2, (state) => again.restore(state));
    expect(read).toMatchObject({
      kind: 'set-aside',
      reason: expect.stringContaining('CPU 77 of container c is not on this machine') as string,
    });
    expect(await readdir(folder)).toEqual(['cpu_manager_state.corrupt-2']);
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe('a checkpoint', () => {
  test('of another policy is refused in the kubelet’s words, and left alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-policy-'));
    try {
      const path = join(folder, 'cpu_manager_state');
      const state: CpuManagerState = { policyName: 'none', defaultCpuSet: '', entries: {} };
      const file = new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum);
      await file.checkPolicy('static');
      await file.write(state);
      await expect(file.checkPolicy('static')).rejects.toThrow(
        `could not restore state from checkpoint: configured policy "static" differs from state checkpoint policy "none", please drain this node and delete the CPU manager checkpoint file "${path}" before restarting`,
      );
      expect(await readdir(folder)).toEqual(['cpu_manager_state']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('that grants what is reserved now is refused as well; one that does not is read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-reserved-'));
    try {
      const path = join(folder, 'cpu_manager_state');
      const file = new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum);
      const before = new CpuManager(machine(1, 2), cpuOptions);
      before.allocate(guaranteed('p', { c: 1 }), 'c', undefined);
      const mine = before.cpusOf(podUidOf(guaranteed('p', {})), 'c')[0] ?? -1;
      await file.write(before.state());
      const now = (reserved: readonly number[]): CpuManager =>
        new CpuManager(machine(1, 2), { ...cpuOptions, reserved: new Set(reserved) });
      await expect(file.read(1, (state) => now([0, mine]).restore(state))).rejects.toThrow(
        `could not restore state from checkpoint: not all reserved cpus: "${formatCpuSet([0, mine])}" are present in defaultCpuSet: "${before.state().defaultCpuSet}" (${mine} belongs to container c of pod p; reserving other CPUs helps, too), please drain this node and delete the CPU manager checkpoint file "${path}" before restarting`,
      );
      expect(await readdir(folder)).toEqual(['cpu_manager_state']);
      const others = [0, 1, 2, 3].filter((cpu) => cpu !== mine);
      expect((await file.read(1, (state) => now(others).restore(state))).kind).toBe('read');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('with a wrong checksum is set aside', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-checksum-'));
    try {
      const path = join(folder, 'cpu_manager_state');
      await writeFile(path, '{"policyName":"static","defaultCpuSet":"0-3","checksum":12}');
      const file = new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum);
      expect(await file.read(3, () => {})).toMatchObject({ kind: 'set-aside', reason: 'checkpoint is corrupted' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
