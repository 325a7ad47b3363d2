import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Container } from '../../agent/api/index.js';
import { withDefaults } from '../../agent/config/kubelet/index.js';
import { formatCpuSet, parseCpuSet } from '../../agent/resources/topology/index.js';
import { AgentWorld, canRunAgent, type AgentRun } from '../agent/agent-world.js';
import { container, podManifest, script } from '../agent/pod-objects.js';
import { SharedAgent } from '../agent/shared-agent.js';

const able = (await canRunAgent()) && cpus().length >= 2;
if (!able) console.warn('SKIPPED: exclusive CPUs need root, crun, the compiled agent and two CPUs');

const kubelet = withDefaults({
  cpuManagerPolicy: 'static',
  reservedSystemCPUs: '0',
  memoryManagerPolicy: 'Static',
  reservedMemory: [{ numaNode: 0, limits: { memory: '100Mi' } }],
  topologyManagerPolicy: 'single-numa-node',
});

const own = (cpu: string, memory = '32Mi'): Partial<Container> => ({
  resources: { requests: { cpu, memory }, limits: { cpu, memory } },
});
const manifest = (name: string, more: Partial<Container> = {}): string =>
  podManifest(name, { containers: [container('main', more)] });
const all = formatCpuSet(cpus().map((_, id) => id));

/** What the kernel lets a container's processes run on. */
const allowed = (run: AgentRun, pod: string): Promise<string> =>
  run.sh(pod, 'main', "sed -n 's/^Cpus_allowed_list:\\t//p' /proc/self/status");

async function untilAllowed(run: AgentRun, pod: string, expected: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while ((await allowed(run, pod)) !== expected && performance.now() < deadline);
  expect(await allowed(run, pod)).toBe(expected);
}

describe.skipIf(!able)('containers with CPUs of their own', () => {
  const agent = SharedAgent.use((config) => ({ ...config, kubelet }));
  const state = async (): Promise<{ policyName: string; defaultCpuSet: string; entries?: Record<string, object> }> =>
    JSON.parse(await readFile(join(agent.world.config.paths.rootDir, 'cpu_manager_state'), 'utf8')) as {
      policyName: string;
      defaultCpuSet: string;
      entries?: Record<string, object>;
    };

  test('have them alone, without a quota, also after a kill -9, and give them back', async () => {
    await agent.run.apply(manifest('shared'));
    await agent.run.untilReady('shared');
    expect(await allowed(agent.run, 'shared')).toBe(all);

    await agent.run.apply(manifest('alone', own('1')));
    await agent.run.untilReady('alone');
    const mine = await allowed(agent.run, 'alone');
    expect(parseCpuSet(mine)).toHaveLength(1);
    expect(mine).not.toBe('0');
    const rest = formatCpuSet(parseCpuSet(all).filter((cpu) => String(cpu) !== mine));
    await untilAllowed(agent.run, 'shared', rest);
    await agent.run.apply(manifest('later'));
    await agent.run.untilReady('later');
    expect(await allowed(agent.run, 'later')).toBe(rest);
    const quota = await agent.run.sh(
      'alone',
      'main',
      'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d" " -f1 /sys/fs/cgroup/cpu.max',
    );
    expect(['-1', 'max']).toContain(quota);
    const uid = agent.run.pod('alone').uid;
    expect(await state()).toMatchObject({
      policyName: 'static',
      defaultCpuSet: rest,
      entries: { [uid]: { main: mine } },
    });

    const run = await agent.restart();
    await run.untilReady('alone');
    await run.untilReady('shared');
    expect(await allowed(run, 'alone')).toBe(mine);
    expect(run.container('alone', 'main').restartCount).toBe(0);
    await run.apply(manifest('newest'));
    await run.untilReady('newest');
    expect(await allowed(run, 'newest')).toBe(rest);

    await run.delete('alone', 1);
    await untilAllowed(run, 'shared', all);
    expect(await state()).toMatchObject({ defaultCpuSet: all });
    expect(Object.keys((await state()).entries ?? {})).toEqual([]);
  });

  test('cannot have more than there are; one that takes the place of another waits for it', async () => {
    const { run } = agent;
    const most = cpus().length - 1;
    const deaf = script('main', "trap '' TERM; sleep 1000000 & wait; wait", own(String(most)));
    await run.apply(podManifest('first', { containers: [deaf] }));
    await run.untilReady('first');
    await run.apply(manifest('too-much', own(String(most), '48Mi')));
    const refused = await run.untilPod('too-much', 'is refused', ({ phase }) => phase === 'Failed');
    expect(refused.status.reason).toMatch(/^(OutOfcpu|UnexpectedAdmissionError)$/);
    await run.delete('too-much', 1);
    // It does not hear; its CPUs are free only when nothing of it runs.
    await run.delete('first', 2);
    await run.apply(manifest('heir', own(String(most))));
    const waiting = await run.untilPod('heir', 'waits', ({ waits }) => waits.length > 0);
    expect(waiting.waits.join()).toMatch(/exclusive (cpu|memory): .*pods that are ending give back theirs: first/);
    await run.untilReady('heir');
    expect(parseCpuSet(await allowed(run, 'heir'))).toHaveLength(most);
  });
});

describe.skipIf(!able)('the record of exclusive CPUs', () => {
  test('of another policy keeps the agent from starting, and says what to do', async () => {
    await using world = await AgentWorld.open();
    await using first = await world.start();
    await first.untilStarted();
    await first.kill();
    const path = join(world.config.paths.rootDir, 'cpu_manager_state');
    await writeFile(path, '{"policyName":"static","defaultCpuSet":"0-1","checksum":0}');
    const second = await world.start();
    await second.ended;
    expect(second.log).toContain(
      `configured policy "none" differs from state checkpoint policy "static", please drain this node and delete the CPU manager checkpoint file "${path}"`,
    );
  });
});
