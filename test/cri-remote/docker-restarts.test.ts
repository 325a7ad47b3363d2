import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AgentWorld } from '../agent/agent-world.js';
import { TestRegistry } from '../images/test-registry.js';
import { eventually } from '../support/daemon.js';
import { Dockerd, missingForDocker } from '../support/dockerd.js';
import { StruckDocker, type DockerDeed } from '../support/struck-docker.js';

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
  'Docker is killed in every request of the start and the end of a pod: everything is there once, then nothing',
  async () => {
    await using registry = await TestRegistry.open();
    await using dockerd = await Dockerd.open();
    await registry.push(`docker-archive:${join(dockerd.folder, 'busybox.tar')}`, 'team/app:1');
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
      image: `${registry.host}/team/app:1`,
      imagePullPolicy: 'Always',
      command: ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.1; done'],
      readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 },
    };
    const spec = { terminationGracePeriodSeconds: 1, containers: [container] };
    const life = async (name: string, inStart: readonly DockerDeed[], inEnd: readonly DockerDeed[]): Promise<void> => {
      strike(inStart);
      await world.write(`${name}.json`, JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec }));
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
    await life('struck', starting, stopping);
    await life('again', [], ['stop sandbox']);
    expect(run.errors).toEqual([]);
    await run[Symbol.asyncDispose]();
    expect(await world.leftovers()).toEqual([]);
  },
  240_000,
);
