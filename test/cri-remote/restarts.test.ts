import { join } from 'node:path';
import { expect, test } from 'vitest';
import { criLabels, type CriRuntime } from '../../cri/index.js';
import { AgentWorld, type AgentRun } from '../agent/agent-world.js';
import { TestRegistry } from '../images/test-registry.js';
import { Containerd, missingForContainerd } from '../support/containerd.js';
import { eventually } from '../support/daemon.js';
import { InterposedRuntime, type StrikeMoment, type StruckVerb } from '../support/interposed-runtime.js';

const { signal } = new AbortController();
const starting: readonly StruckVerb[] = ['pullImage', 'runPodSandbox', 'createContainer', 'startContainer', 'execSync'];
const stopping: readonly StruckVerb[] = ['stopContainer', 'stopPodSandbox', 'removeContainer', 'removePodSandbox'];

const manifest = (name: string, image: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image,
          imagePullPolicy: 'Always',
          command: ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.1; done'],
          readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 },
        },
      ],
    },
  });

async function expectOnce({ runtime }: CriRuntime, run: AgentRun, name: string): Promise<void> {
  const filter = { labelSelector: { [criLabels.podName]: name } };
  const { items = [] } = await runtime.listPodSandbox(
    { filter: { ...filter, state: { state: 'SANDBOX_READY' } } },
    signal,
  );
  expect(items, 'ready sandboxes').toHaveLength(1);
  const running = { filter: { ...filter, state: { state: 'CONTAINER_RUNNING' } } } as const;
  const { containers = [] } = await runtime.listContainers(running, signal);
  expect(containers, 'running containers').toHaveLength(1);
  expect(containers[0]?.podSandboxId).toBe(items[0]?.id);
  expect(run.container(name, 'main').containerID).toMatch(new RegExp(`//${containers[0]?.id ?? ''}$`));
}

const missing = missingForContainerd('2.x');
if (missing !== undefined) console.warn(`SKIPPED restarts of containerd in the middle of a verb: needs ${missing}`);

test.skipIf(missing !== undefined).each<StrikeMoment>(['under way', 'answer lost'])(
  'containerd is killed in every verb of the start and the end of a pod (%s): everything is there once, then nothing',
  async (moment) => {
    await using registry = await TestRegistry.open();
    await using containerd = await Containerd.open('2.x');
    await registry.push(`oci-archive:${join(containerd.folder, 'busybox.tar')}`, 'team/app:1');
    await using direct = await containerd.connect();
    await using interposed = await InterposedRuntime.open(direct, join(containerd.folder, 'between.sock'));
    await using world = await AgentWorld.open((config) => ({
      ...config,
      runtime: { ...config.runtime, endpoint: interposed.endpoint },
    }));
    await using run = await world.start();
    await run.untilStarted();
    const restart = async (): Promise<void> => {
      await containerd.kill();
      await containerd.start();
    };
    const strike = (verbs: readonly StruckVerb[]): void => {
      for (const verb of verbs) interposed.strike(verb, moment, restart);
    };
    const image = `${registry.host}/team/app:1`;
    const life = async (name: string, struck: boolean): Promise<void> => {
      if (struck) strike(starting);
      await world.write(`${name}.json`, manifest(name, image));
      const isStruck = (): boolean => interposed.calm && interposed.armed.length === 0;
      await eventually(`${starting.join()} were struck`, isStruck, 90_000);
      await run.untilPod(name, 'is ready', ({ ready, waits }) => ready && waits.length === 0, 60_000);
      await expectOnce(direct, run, name);
      // A start that was cut off may have made a process that containerd ends when it is back.
      const restarts = struck && moment === 'under way' ? 1 : 0;
      expect(run.container(name, 'main').restartCount).toBeLessThanOrEqual(restarts);
      if (struck) strike(stopping);
      await world.remove(`${name}.json`);
      await run.untilGone(90_000);
      await eventually('containerd is back', () => interposed.calm, 60_000);
      // What was cut off may have been done all the same: then it is not asked for again.
      if (moment === 'answer lost') expect(interposed.armed).toEqual([]);
      expect((await direct.runtime.listPodSandbox({}, signal)).items).toEqual([]);
      expect((await direct.runtime.listContainers({}, signal)).containers).toEqual([]);
    };
    await life('plain', false);
    await life('struck', true);
    expect(run.errors).toEqual([]);
  },
  240_000,
);
