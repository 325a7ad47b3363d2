import { readdir, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Container } from '../../../agent/api/index.js';
import type { AgentConfig } from '../../../agent/config/agent-config.js';
import { withDefaults } from '../../../agent/config/kubelet/index.js';
import { formatCpuSet, parseCpuSet } from '../../../agent/resources/topology/index.js';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld, canRunAgent } from '../agent-world.js';
import { container, podManifest, script } from '../pod-objects.js';
import { SharedAgent } from '../shared-agent.js';
import { eventually } from '../../support/daemon.js';

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
  const deadline = performance.now() + 60_000;
  while ((await allowed(run, pod)) !== expected && performance.now() < deadline);
  expect(await allowed(run, pod)).toBe(expected);
}

describe.skipIf(!able)('containers with CPUs of their own', () => {
  const agent = SharedAgent.use((config) => ({ ...config, kubelet }));
  const state = async (): Promise<{
    policyName: string;
    defaultCpuSet: string;
    entries?: Record<string, Record<string, string>>;
  }> =>
    JSON.parse(await readFile(join(agent.world.config.paths.rootDir, 'cpu_manager_state'), 'utf8')) as {
      policyName: string;
      defaultCpuSet: string;
      entries?: Record<string, Record<string, string>>;
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
    await eventually('that is written down', async () => {
      const { defaultCpuSet, entries = {} } = await state();
      return defaultCpuSet === all && Object.keys(entries).length === 0;
    });
  });

  test('are handed on by init containers, with their memory', async () => {
    const { run } = agent;
    const notes = await agent.notes('handed-on');
    const most = String(cpus().length - 1);
    const noted = script('setup', 'grep ^Cpus_allowed_list /proc/self/status >> /notes/log', own(most, '64Mi'));
    const spec = notes.in({ initContainers: [noted], containers: [container('main', own(most, '64Mi'))] });
    await run.apply(podManifest('handing', spec));
    await run.untilReady('handing');
    // There are not twice as many: without that it would have been refused.
    const mine = await allowed(run, 'handing');
    await notes.untilLines([`Cpus_allowed_list:\t${mine}`]);
    const { uid } = run.pod('handing');
    expect((await state()).entries).toEqual({ [uid]: { setup: mine, main: mine } });
    const memory = JSON.parse(
      await readFile(join(agent.world.config.paths.rootDir, 'memory_manager_state'), 'utf8'),
    ) as { entries: Record<string, Record<string, { size: number }[]>> };
    const sizes = Object.entries(memory.entries[uid] ?? {}).map(([name, [block]]) => [name, block?.size]);
    expect(Object.fromEntries(sizes)).toEqual({ setup: 0, main: 64 * 2 ** 20 });
    await run.delete('handing', 1);
    await run.until('its CPUs are free again', () => run.find('handing') === undefined);
  });

  test('leave no CPU to a pod that is ending and takes its time', async () => {
    const { run } = agent;
    // Until it is told to end at once, below.
    const slow = script('main', "trap '' TERM; sleep 1000000 & wait; wait");
    await run.apply(podManifest('leaving', { terminationGracePeriodSeconds: 300, containers: [slow] }));
    await run.untilReady('leaving');
    expect(await allowed(run, 'leaving')).toBe(all);
    await run.delete('leaving');
    await run.apply(manifest('coming', own('1')));
    await run.untilReady('coming');
    const mine = await allowed(run, 'coming');
    await untilAllowed(run, 'leaving', formatCpuSet(parseCpuSet(all).filter((cpu) => String(cpu) !== mine)));
    await run.delete('leaving', 1);
    await run.delete('coming', 1);
    await run.until('its CPUs are free again', () => run.find('coming') === undefined);
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
    await run.delete('first', 300);
    await run.apply(manifest('heir', own(String(most))));
    const forFirst = /exclusive (cpu|memory): .*pods that are ending give back theirs: first/;
    await run.untilPod('heir', 'waits for the one that ends', ({ waits }) => forFirst.test(waits.join()));
    await run.delete('first', 1);
    await run.untilReady('heir');
    expect(parseCpuSet(await allowed(run, 'heir'))).toHaveLength(most);
  });
});

describe.skipIf(!able)('policy options', () => {
  test('with strict-cpu-reservation nobody runs on reserved CPUs; options that exclude each other are refused', async () => {
    const withOptions = (...names: string[]): AgentConfig['kubelet'] => ({
      ...kubelet,
      cpuManagerPolicyOptions: Object.fromEntries(names.map((name) => [name, 'true'])),
    });
    await using world = await AgentWorld.open((config) => ({
      ...config,
      kubelet: withOptions('strict-cpu-reservation'),
    }));
    const run = await world.start();
    await run.apply(manifest('shared'));
    await run.untilReady('shared');
    expect(await allowed(run, 'shared')).toBe(formatCpuSet(parseCpuSet(all).filter((cpu) => cpu !== 0)));
    await run.delete('shared', 1);
    await run.untilGone();
    await run[Symbol.asyncDispose]();
    await using other = await AgentWorld.open((config) => ({
      ...config,
      kubelet: withOptions('full-pcpus-only', 'distribute-cpus-across-cores'),
    }));
    const refused = await other.start();
    await refused.ended;
    expect(refused.log).toContain(
      'static policy options full-pcpus-only and distribute-cpus-across-cores can not be used at the same time',
    );
  });
});

describe.skipIf(!able)('the record of exclusive CPUs', () => {
  test('that cannot be read is set aside, what runs keeps CPUs of its own; of another policy keeps the agent from starting', async () => {
    await using world = await AgentWorld.open((config) => ({ ...config, kubelet }));
    const { rootDir } = world.config.paths;
    const path = join(rootDir, 'cpu_manager_state');
    const first = await world.start();
    await first.apply(manifest('keeper', own('1')));
    await first.untilReady('keeper');
    const mine = await allowed(first, 'keeper');
    await first.kill();
    await writeFile(path, '{"policyName":"static","defaultCpuSet":"0","checksum":7}');

    const second = await world.start();
    await second.untilReady('keeper');
    const { uid } = second.pod('keeper');
    await eventually(
      'its CPUs are written down again',
      async () => (await readFile(path, 'utf8')).includes(`"entries":{"${uid}":{"main":"${mine}"}}`),
      60_000,
    );
    await untilAllowed(second, 'keeper', mine);
    expect(second.container('keeper', 'main').restartCount).toBe(0);
    expect(second.errors).toEqual([expect.stringContaining('a record of exclusive resources was set aside') as string]);
    expect((await readdir(rootDir)).filter((name) => name.startsWith('cpu_manager_state.corrupt-'))).toHaveLength(1);
    await second.kill();

    const found = await readFile(path, 'utf8');
    Object.assign(world.config, { kubelet: { ...kubelet, reservedSystemCPUs: mine } });
    const refused = await world.start();
    await refused.ended;
    expect(refused.log).toContain(`not all reserved cpus: "${mine}" are present in defaultCpuSet`);
    expect(refused.log).toContain(`please drain this node and delete the CPU manager checkpoint file "${path}"`);
    expect(await readFile(path, 'utf8')).toBe(found);
    Object.assign(world.config, { kubelet });
    const after = await world.start();
    await after.untilReady('keeper');
    expect(await allowed(after, 'keeper')).toBe(mine);
    expect(after.container('keeper', 'main').restartCount).toBe(0);
    await after.delete('keeper', 1);
    await after.untilGone();
    await after.kill();

    await writeFile(path, '{"policyName":"none","defaultCpuSet":"","checksum":0}');
    const third = await world.start();
    await third.ended;
    expect(third.log).toContain(
      `configured policy "static" differs from state checkpoint policy "none", please drain this node and delete the CPU manager checkpoint file "${path}"`,
    );
  });
});
