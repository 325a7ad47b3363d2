import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { AgentWorld } from '../agent-world.js';
import { FaultyProxy, TestRegistry } from '../../support/test-registry.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { busyboxReference } from '../../support/cri-daemon.js';
import { eventually } from '../../support/daemon.js';
import { Dockerd, missingForDocker } from '../../support/dockerd.js';
import { StruckDocker, type DockerDeed } from '../../support/struck-docker.js';

const missing = missingForDocker();
if (missing !== undefined) console.warn(`SKIPPED restarts of Docker in the middle of a request: needs ${missing}`);

const answerLost: readonly DockerDeed[] = ['create sandbox', 'create container', 'stop container', 'remove container'];
/** Not in an exec: Docker itself needs half a minute to come back from that. */
const starting: readonly DockerDeed[] = [
  'pull',
  'create sandbox',
  'start sandbox',
  'create container',
  'start container',
];
/** With Docker its containers end: after one of these nothing is left to be stopped. */
const stopping: readonly DockerDeed[] = ['stop container', 'remove container', 'remove sandbox'];

test.skipIf(missing !== undefined)(
  'a pull that stalls; then Docker is killed in every request of the start and the end of a pod: everything is there once, then nothing',
  async () => {
    await using registry = await TestRegistry.open();
    await using dockerd = await Dockerd.open();
    await using between = await FaultyProxy.open(registry.host);
    // With a layer that Docker does not have yet.
    const archive = join(dockerd.folder, 'app.tar');
    await makeBusyboxImage({ path: archive, format: 'docker-archive', files: { '/etc/app': 'not busybox alone' } });
    await registry.push(`docker-archive:${archive}`, 'team/app:1');
    const image = `${between.host}/team/app:1`;
    await using proxy = await StruckDocker.open(join(dockerd.folder, 'between.sock'), dockerd.socket);
    await using world = await AgentWorld.open((config) => ({
      ...config,
      runtime: { ...config.runtime, endpoint: `docker://${proxy.path}` },
      limits: { ...config.limits, restartBackoffMaxMs: 1000 },
    }));
    await using run = await world.start();
    await run.untilStarted();
    const restart = async (): Promise<void> => {
      await dockerd.stop('SIGKILL');
      await dockerd.start();
    };
    const strike = (deeds: readonly DockerDeed[]): void => {
      for (const deed of deeds) proxy.strike(deed, answerLost.includes(deed) ? 'answer lost' : 'under way', restart);
    };
    const untilStruck = async (): Promise<void> => {
      try {
        await eventually('every request was struck', () => proxy.calm, 60_000);
      } catch (err) {
        throw new Error(`${proxy.armed.join()} did not come: ${run.log.slice(-5000)}`, { cause: err });
      }
    };
    const container = {
      name: 'main',
      image,
      imagePullPolicy: 'Always',
      command: ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.1; done'],
      readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 },
    };
    const write = async (name: string, changed: object = {}): Promise<void> => {
      const spec = { terminationGracePeriodSeconds: 1, containers: [{ ...container, ...changed }] };
      await world.write(`${name}.json`, JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec }));
    };
    const life = async (name: string, inStart: readonly DockerDeed[], inEnd: readonly DockerDeed[]): Promise<void> => {
      strike(inStart);
      await write(name);
      await untilStruck();
      await run.untilPod(name, 'is ready', ({ ready, waits }) => ready && waits.length === 0, 60_000);
      const running = (await dockerd.docker('ps', '--no-trunc', '--format', '{{.ID}} {{.Names}}')).trim().split('\n');
      expect(running).toHaveLength(2);
      const [main] = running.filter((line) => !line.includes('_POD_'));
      expect(run.container(name, 'main').containerID).toBe(`docker://${main?.split(' ')[0] ?? ''}`);
      strike(inEnd);
      await world.remove(`${name}.json`);
      await untilStruck();
      await run.untilGone(60_000);
      expect(await dockerd.docker('ps', '-aq')).toBe('');
    };
    // A pull that stalls in the middle of a layer holds up nobody, says so, and ends with its pod.
    between.stallAfterBytes = 1000;
    await write('stalled');
    await eventually('a layer is asked for', () => between.stalledBlobs > 0);
    await run.untilPod('stalled', 'says what it waits for', ({ waits }) =>
      waits.some((wait) => wait.startsWith(`ensure-image image ${image}`)),
    );
    await write('other', { image: busyboxReference, imagePullPolicy: 'Never' });
    await run.untilReady('other', 60_000);
    for (const name of ['stalled', 'other']) await world.remove(`${name}.json`);
    await run.untilGone(60_000);
    between.stallAfterBytes = undefined;
    await life('struck', starting, stopping);
    await life('again', [], ['stop sandbox']);
    expect(run.errors).toEqual([]);
    await run[Symbol.asyncDispose]();
    expect(await world.leftovers()).toEqual([]);
  },
  240_000,
);

test.skipIf(missing !== undefined)(
  'Docker is killed in the middle of a burst of an agent: every pod is there once at the end',
  async () => {
    await using dockerd = await Dockerd.open();
    await using world = await AgentWorld.open((config) => ({
      ...config,
      runtime: { ...config.runtime, endpoint: `docker://${dockerd.socket}` },
      limits: { ...config.limits, restartBackoffMaxMs: 1000 },
    }));
    await using run = await world.start();
    await run.untilStarted();
    // Docker ends what it finds when it comes back, and waits for it.
    const command = ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.1; done'];
    const container = { name: 'main', image: busyboxReference, imagePullPolicy: 'Never', command };
    const spec = { terminationGracePeriodSeconds: 0, containers: [container] };
    const names = Array.from({ length: 4 }, (_, index) => `burst-${index}`);
    for (const name of names) {
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
      await world.write(`${name}.json`, JSON.stringify(pod));
    }
    const ready = (): number => [...run.pods.values()].filter((pod) => pod.ready).length;
    await run.until('two pods are ready', () => ready() >= 2);
    await dockerd.stop('SIGKILL');
    await run.untilPod('burst-3', 'says what it waits for', ({ waits }) =>
      waits.some((wait) => wait.startsWith('runtime container runtime: container runtime is down: ')),
    );
    await dockerd.start();
    const settled = ({ ready, waits }: { ready: boolean; waits: readonly string[] }): boolean =>
      ready && waits.length === 0;
    // What is told of a pod may still be from before Docker went; Docker itself knows.
    const running = async (): Promise<string[]> =>
      (await dockerd.docker('ps', '--format', '{{.Names}}'))
        .trim()
        .split('\n')
        .map((line) => line.split('_').slice(1, 3).join(' '))
        .toSorted();
    const all = names.flatMap((name) => [`POD ${name}`, `main ${name}`]).toSorted();
    await vi.waitFor(async () => expect(await running()).toEqual(all), { timeout: 90_000, interval: 200 });
    await run.until('all pods run', () => [...run.pods.values()].every(settled), 60_000);
    expect(await running()).toEqual(all);
    for (const name of names) await world.remove(`${name}.json`);
    await run.untilGone(60_000);
    expect(await dockerd.docker('ps', '-aq')).toBe('');
    expect(run.errors).toEqual([]);
    await run[Symbol.asyncDispose]();
    expect(await world.leftovers()).toEqual([]);
  },
  240_000,
);
