import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { criLabels, type CriRuntime } from '../../../cri/index.js';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { FaultyProxy, TestRegistry } from '../../support/test-registry.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { busyboxReference, type CriDaemon } from '../../support/cri-daemon.js';
import { criDaemonKinds } from '../../support/cri-daemons.js';
import { eventually } from '../../support/daemon.js';
import { InterposedRuntime, type StrikeMoment, type StruckVerb } from '../../support/interposed-runtime.js';

const { signal } = new AbortController();
const starting: readonly StruckVerb[] = ['pullImage', 'runPodSandbox', 'createContainer', 'startContainer', 'execSync'];
const stopping: readonly StruckVerb[] = ['stopContainer', 'stopPodSandbox', 'removeContainer', 'removePodSandbox'];

const manifest = (name: string, image: string, imagePullPolicy = 'Always'): string =>
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
          imagePullPolicy,
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

for (const kind of criDaemonKinds) {
  const { missing } = kind;
  if (missing !== undefined) console.warn(`SKIPPED restarts of ${kind.name} in the middle of a verb: needs ${missing}`);

  describe.skipIf(missing !== undefined)(`${kind.name} is killed`, () => {
    let registry: TestRegistry;
    let proxy: FaultyProxy;
    let daemon: CriDaemon;
    let direct: CriRuntime;

    beforeAll(async () => {
      registry = await TestRegistry.open();
      proxy = await FaultyProxy.open(registry.host);
      daemon = await kind.open(proxy.host);
      // With a layer that the daemon does not have yet.
      const archive = join(daemon.folder, 'app.tar');
      await makeBusyboxImage({ path: archive, format: 'oci-archive', files: { '/etc/app': 'not busybox alone' } });
      await registry.push(`oci-archive:${archive}`, 'team/app:1');
      direct = await daemon.connect();
    });

    afterAll(async () => {
      await direct?.[Symbol.asyncDispose]();
      await daemon?.[Symbol.asyncDispose]();
      await proxy?.[Symbol.asyncDispose]();
      await registry?.[Symbol.asyncDispose]();
    });

    const openWorld = (endpoint: string): Promise<AgentWorld> =>
      AgentWorld.open((config) => ({ ...config, runtime: { ...config.runtime, endpoint } }));

    const restart = async (): Promise<void> => {
      await daemon.kill();
      await daemon.start();
    };

    const expectNothing = async (): Promise<void> => {
      expect((await direct.runtime.listPodSandbox({}, signal)).items).toEqual([]);
      expect((await direct.runtime.listContainers({}, signal)).containers).toEqual([]);
    };

    // Before any other pull: what is here already is not asked for.
    test('a pull that stalls in the middle of a layer holds up nobody, says so, and ends with its pod', async () => {
      await using world = await openWorld(daemon.endpoint);
      await using run = await world.start();
      await run.untilStarted();
      proxy.stallAfterBytes = 1000;
      await world.write('stalled.json', manifest('stalled', `${proxy.host}/team/app:1`));
      await eventually('a layer is asked for', () => proxy.stalledBlobs > 0);
      await run.untilPod('stalled', 'says what it waits for', ({ waits }) =>
        waits.some((wait) => wait.startsWith(`ensure-image image ${proxy.host}/team/app:1`)),
      );
      await world.write('other.json', manifest('other', busyboxReference, 'Never'));
      await run.untilReady('other');
      for (const name of ['stalled', 'other']) await world.remove(`${name}.json`);
      await run.untilGone(60_000);
      proxy.stallAfterBytes = undefined;
      await expectNothing();
      expect(run.errors).toEqual([]);
    });

    test.each<StrikeMoment>(['under way', 'answer lost'])(
      'in every verb of the start and the end of a pod (%s): everything is there once, then nothing',
      async (moment) => {
        const socket = join(daemon.folder, `${moment.replace(' ', '-')}.sock`);
        await using interposed = await InterposedRuntime.open(direct, socket);
        await using world = await openWorld(interposed.endpoint);
        await using run = await world.start();
        await run.untilStarted();
        const strike = (verbs: readonly StruckVerb[]): void => {
          for (const verb of verbs) interposed.strike(verb, moment, restart);
        };
        const image = `${proxy.host}/team/app:1`;
        const life = async (name: string, struck: boolean): Promise<void> => {
          if (struck) strike(starting);
          await world.write(`${name}.json`, manifest(name, image));
          const isStruck = (): boolean => interposed.calm && interposed.armed.length === 0;
          await eventually(`${starting.join()} were struck`, isStruck, 90_000);
          await run.untilPod(name, 'is ready', ({ ready, waits }) => ready && waits.length === 0, 60_000);
          await expectOnce(direct, run, name);
          // A start that was cut off may have made a process that the daemon ends when it is back.
          const restarts = struck && moment === 'under way' ? 1 : 0;
          expect(run.container(name, 'main').restartCount).toBeLessThanOrEqual(restarts);
          if (struck) strike(stopping);
          await world.remove(`${name}.json`);
          await run.untilGone(90_000);
          await eventually(`${kind.name} is back`, () => interposed.calm, 60_000);
          // What was cut off may have been done all the same: then it is not asked for again.
          if (moment === 'answer lost') expect(interposed.armed).toEqual([]);
          await expectNothing();
        };
        await life('plain', false);
        await life('struck', true);
        expect(run.errors).toEqual([]);
      },
      240_000,
    );

    test('in the middle of a burst of an agent: every pod is there once at the end', async () => {
      await using world = await openWorld(daemon.endpoint);
      await using run = await world.start();
      await run.untilStarted();
      const names = Array.from({ length: 8 }, (_, index) => `burst-${index}`);
      for (const name of names) await world.write(`${name}.json`, manifest(name, busyboxReference, 'Never'));
      const ready = (): number => [...run.pods.values()].filter((pod) => pod.ready).length;
      await run.until('two pods are ready', () => ready() >= 2);
      await daemon.kill();
      await run.untilPod('burst-7', 'says what it waits for', ({ waits }) =>
        waits.some((wait) => wait.startsWith('runtime container runtime: container runtime is down: ')),
      );
      await daemon.start();
      await run.until('all pods are ready', () => ready() === names.length, 90_000);
      await run.until('no pod waits', () => [...run.pods.values()].every(({ waits }) => waits.length === 0));
      for (const name of names) await expectOnce(direct, run, name);
      for (const name of names) await world.remove(`${name}.json`);
      await run.untilGone(60_000);
      await expectNothing();
      expect(run.errors).toEqual([]);
    }, 240_000);
  });
}
