import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Container, PodCondition, ResourceRequirements } from '../../../agent/api/index.js';
import { cgroupNames, podCgroup } from '../../../agent/resources/cgroups/cgroup-names.js';
import { detectHierarchy } from '../../../agent/resources/cgroups/hierarchy.js';
import type { PodLine } from '../agent-run.js';
import { canRunAgent } from '../agent-world.js';
import { container, podManifest, script } from '../pod-objects.js';
import { SharedAgent } from '../shared-agent.js';

const able = await canRunAgent();
if (!able) console.warn('SKIPPED: in-place resize needs root, crun and the compiled agent');
const version = (await detectHierarchy()).version;

const sized = (
  requests: ResourceRequirements['requests'],
  limits?: ResourceRequirements['limits'],
): Partial<Container> => ({
  resources: { requests, ...(limits && { limits }) },
});
const condition = ({ status }: PodLine, type: string): PodCondition | undefined =>
  status.conditions?.find((each) => each.type === type);
const settled = (pod: PodLine): boolean =>
  pod.ready && !condition(pod, 'PodResizeInProgress') && !condition(pod, 'PodResizePending');

describe.skipIf(!able)('a running pod gets other resources', () => {
  // The node's CPUs are what the machine has: the requests below are shares of it.
  const agent = SharedAgent.use();
  const cpuLimit = async (pod: string): Promise<string> => {
    const file = version === 2 ? 'cpu.max' : 'cpu/cpu.cfs_quota_us';
    return agent.run.sh(pod, 'main', `cat /sys/fs/cgroup/${file}`);
  };
  const memoryLimit = (pod: string): Promise<string> =>
    agent.run.sh(pod, 'main', `cat /sys/fs/cgroup/${version === 2 ? 'memory.max' : 'memory/memory.limit_in_bytes'}`);
  const podFile = async (name: string, controller: string, file: string): Promise<string> => {
    const line = agent.run.pod(name);
    const own = podCgroup(cgroupNames('cgroupfs', agent.world.config.cgroups.root), {
      metadata: { uid: line.uid },
      status: { qosClass: line.status.qosClass },
    });
    const root = version === 2 ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controller}`;
    return (await readFile(join(root, own, file), 'utf8')).trim();
  };
  const quota = (milli: number): string => (version === 2 ? `${milli * 100} 100000` : `${milli * 100}`);
  const manifest = (name: string, more: Partial<Container>): string =>
    podManifest(name, { containers: [container('main', more)] });
  const mebi = 2 ** 20;

  test('without a restart, up and down, and the kernel has it', async () => {
    const { run } = agent;
    const of = (cpu: string, memory: string) => manifest('quiet', sized({ cpu: '50m', memory }, { cpu, memory }));
    await run.apply(of('100m', '64Mi'));
    await run.untilReady('quiet');
    expect(await cpuLimit('quiet')).toBe(quota(100));
    const { containerID } = run.container('quiet', 'main');

    await run.apply(of('300m', '128Mi'));
    const grown = await run.untilPod('quiet', 'has grown', (pod) => {
      const main = pod.status.containerStatuses?.[0];
      return settled(pod) && main?.resources?.limits?.['cpu'] === '300m';
    });
    expect(grown.status.containerStatuses?.[0]).toMatchObject({
      containerID,
      restartCount: 0,
      resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '300m', memory: '128Mi' } },
      allocatedResources: { cpu: '50m', memory: '128Mi' },
    });
    expect(await cpuLimit('quiet')).toBe(quota(300));
    expect(await memoryLimit('quiet')).toBe(String(128 * mebi));
    if (version === 1) expect(await podFile('quiet', 'cpu', 'cpu.cfs_quota_us')).toBe(quota(300));

    await run.apply(of('200m', '96Mi'));
    await run.untilPod('quiet', 'has shrunk', (pod) => {
      return settled(pod) && pod.status.containerStatuses?.[0]?.resources?.limits?.['cpu'] === '200m';
    });
    expect(await cpuLimit('quiet')).toBe(quota(200));
    expect(await memoryLimit('quiet')).toBe(String(96 * mebi));
    expect(run.container('quiet', 'main').containerID).toBe(containerID);
    const told = (): (string | undefined)[] =>
      run
        .eventsOf('quiet')
        .map((text) => text.split(':')[0])
        .filter((reason) => reason?.startsWith('Resize'));
    await run.until('both are told', () => told().length >= 4);
    expect(told()).toEqual(['ResizeStarted', 'ResizeCompleted', 'ResizeStarted', 'ResizeCompleted']);
    const inProgress = run.historyOf('quiet').filter((pod) => condition(pod, 'PodResizeInProgress'));
    expect(inProgress.length).toBeGreaterThan(0);
  });

  test('with a restart of the one container whose policy asks for it', async () => {
    const { run } = agent;
    const of = (memory: string): string =>
      podManifest('anew', {
        containers: [
          container('main', {
            ...sized({ memory }, { memory }),
            resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }],
          }),
          container('other', sized({ memory: '32Mi' }, { memory: '32Mi' })),
        ],
      });
    await run.apply(of('64Mi'));
    await run.untilReady('anew');
    const other = run.container('anew', 'other').containerID;
    await run.apply(of('128Mi'));
    await run.untilPod('anew', 'has its container anew', (pod) => settled(pod) && pod.restarts === 1);
    expect(run.container('anew', 'main')).toMatchObject({
      restartCount: 1,
      resources: { limits: { memory: '128Mi' } },
    });
    expect(await memoryLimit('anew')).toBe(String(128 * mebi));
    expect(await podFile('anew', 'memory', version === 2 ? 'memory.max' : 'memory.limit_in_bytes')).toBe(
      String(160 * mebi),
    );
    expect(run.container('anew', 'other')).toMatchObject({ restartCount: 0, containerID: other });
    expect(run.eventsOf('anew')).toContain('Killing: Container main resize requires restart');
  });

  test('too much is deferred, and given when another pod has made room; more than the machine has is infeasible', async () => {
    const { run } = agent;
    const cpus = (await readFile('/proc/cpuinfo', 'utf8')).match(/^processor/gm)?.length ?? 1;
    const part = (share: number): Partial<Container> => sized({ cpu: `${Math.floor(cpus * 1000 * share)}m` });
    await run.apply(manifest('neighbour', part(0.45)));
    await run.apply(manifest('waiting', part(0.2)));
    await run.untilReady('neighbour');
    await run.untilReady('waiting');
    await run.apply(manifest('waiting', part(2)));
    const never = await run.untilPod(
      'waiting',
      'asks for too much',
      (pod) => condition(pod, 'PodResizePending') !== undefined,
    );
    expect(condition(never, 'PodResizePending')).toMatchObject({ status: 'True', reason: 'Infeasible' });
    await run.apply(manifest('waiting', part(0.6)));
    const deferred = await run.untilPod(
      'waiting',
      'is deferred',
      (pod) => condition(pod, 'PodResizePending')?.reason === 'Deferred',
    );
    expect(condition(deferred, 'PodResizePending')?.message).toMatch(
      /^Node didn't have enough resource: cpu, requested/,
    );
    expect(deferred.waits.join()).toContain("resize resources: Node didn't have enough");
    expect(deferred.status.containerStatuses?.[0]?.allocatedResources?.['cpu']).toBe(`${Math.floor(cpus * 200)}m`);
    await run.delete('neighbour', 1);
    const given = await run.untilPod('waiting', 'has it', (pod) => {
      return (
        settled(pod) && pod.status.containerStatuses?.[0]?.allocatedResources?.['cpu'] === `${Math.floor(cpus * 600)}m`
      );
    });
    expect(given.status.containerStatuses?.[0]?.restartCount).toBe(0);
    const reasons = ['ResizeInfeasible', 'ResizeDeferred', 'ResizeStarted', 'ResizeCompleted'];
    await run.until('all of it is told', () => {
      const told = run.eventsOf('waiting').map((text) => text.split(':')[0]);
      return reasons.every((reason) => told.includes(reason));
    });
  });

  test('less memory than is in use is refused and said, and the container lives', async () => {
    const { run } = agent;
    const hog = (memory: string): string =>
      podManifest('hog', {
        containers: [
          script('main', "x=$(head -c 30000000 /dev/zero | tr '\\0' x); trap 'exit 0' TERM; sleep 1000000 & wait", {
            ...sized({ cpu: '10m', memory }, { memory }),
            readinessProbe: { exec: { command: ['sh', '-c', 'test -n "$(pidof sleep)"'] }, periodSeconds: 1 },
          }),
        ],
      });
    await run.apply(hog('200Mi'));
    await run.untilReady('hog');
    await run.apply(hog('16Mi'));
    const refused = await run.untilPod(
      'hog',
      'is refused',
      (pod) => condition(pod, 'PodResizeInProgress')?.reason === 'Error',
    );
    expect(condition(refused, 'PodResizeInProgress')?.message).toMatch(
      /^cannot decrease memory limits: .*container "main" memory limit \(16777216\) below current usage/,
    );
    expect(await memoryLimit('hog')).toBe(String(200 * mebi));
    await run.apply(hog('300Mi'));
    await run.untilPod('hog', 'grows instead', (pod) => settled(pod) && pod.restarts === 0);
    expect(await memoryLimit('hog')).toBe(String(300 * mebi));
  });

  test('a kill -9 in the middle changes nothing: what was promised is given by the next agent, and what waits goes on waiting', async () => {
    const of = (cpu: string): string => manifest('killed', sized({ cpu: '20m' }, { cpu }));
    await agent.run.apply(of('100m'));
    await agent.run.untilReady('killed');
    const { containerID } = agent.run.container('killed', 'main');
    const cpus = (await readFile('/proc/cpuinfo', 'utf8')).match(/^processor/gm)?.length ?? 1;
    await agent.run.apply(manifest('patient', sized({ cpu: '10m' })));
    await agent.run.untilReady('patient');
    await agent.run.apply(manifest('patient', sized({ cpu: String(cpus) })));
    const isDeferred = (pod: PodLine): boolean => condition(pod, 'PodResizePending')?.reason === 'Deferred';
    await agent.run.untilPod('patient', 'is deferred', isDeferred);
    await agent.dieAt('before resize-pod', (run) => run.apply(of('250m')).catch(() => {}));
    const { run } = agent;
    await run.untilPod('killed', 'has its resources', (pod) => {
      return settled(pod) && pod.status.containerStatuses?.[0]?.resources?.limits?.['cpu'] === '250m';
    });
    expect(await cpuLimit('killed')).toBe(quota(250));
    expect(run.container('killed', 'main')).toMatchObject({ containerID, restartCount: 0 });
    const patient = await run.untilPod('patient', 'is deferred still', isDeferred);
    expect(patient.ready).toBe(true);
    expect(patient.status.containerStatuses?.[0]?.allocatedResources).toEqual({ cpu: '10m' });
    const record = JSON.parse(
      await readFile(join(agent.world.config.paths.rootDir, 'allocated_pods_state'), 'utf8'),
    ) as { data: string };
    const { entries } = JSON.parse(record.data) as {
      entries: Record<string, { ContainerResources: Record<string, ResourceRequirements> }>;
    };
    expect(entries[run.pod('killed').uid]?.ContainerResources['main']?.limits).toEqual({ cpu: '250m' });
  });
});
