import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { criLabels, type CriRuntime } from '../../../cri/index.js';
import type { AgentRun, PodLine } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { busyboxReference, Containerd, missingForContainerd } from '../../support/containerd.js';
import { eventually } from '../../support/daemon.js';
import { Dockerd, missingForDocker } from '../../support/dockerd.js';
import { InterposedRuntime, type StruckVerb } from '../../support/interposed-runtime.js';
import { UnreliableSocket } from '../../support/unreliable-socket.js';

const { signal } = new AbortController();
/** Two minutes, scaled. */
const requestTimeoutMs = 2000;
/** How long a socket that is gone stays away: until all have said so, or a whole minute. */
const awayMs = process.env['BERTH_TEST_THOROUGH'] === undefined ? 0 : 60_000;

const manifest = (name: string, image = busyboxReference, policy = 'Never'): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image, imagePullPolicy: policy, command: ['sleep', '1000000'] }],
    },
  });

const openWorld = (endpoint: string): Promise<AgentWorld> =>
  AgentWorld.open((config) => ({ ...config, runtime: { ...config.runtime, endpoint, requestTimeoutMs } }));

const started = async (world: AgentWorld): Promise<AgentRun> => {
  const run = await world.start();
  await run.untilStarted();
  return run;
};

/** The record that every part of the agent prints says that the runtime is what the pod waits for, and why. */
const waitsForRuntime =
  (why: RegExp) =>
  ({ waits }: PodLine): boolean =>
    waits[0]?.startsWith('runtime container runtime: container runtime is down: ') === true && why.test(waits[0]);

const waitForNothing = (run: AgentRun): Promise<void> =>
  run.until('no pod waits', () => [...run.pods.values()].every(({ waits }) => waits.length === 0));

async function end(run: AgentRun, world: AgentWorld, names: readonly string[]): Promise<void> {
  for (const name of names) await world.remove(`${name}.json`);
  await run.untilGone();
  expect(run.errors).toEqual([]);
  await run[Symbol.asyncDispose]();
}

/** Each pod has one ready sandbox with one running container in it, the one that the agent reports. */
async function expectEachOnce({ runtime }: CriRuntime, run: AgentRun, names: readonly string[]): Promise<void> {
  const { items = [] } = await runtime.listPodSandbox({}, signal);
  const { containers = [] } = await runtime.listContainers({}, signal);
  for (const name of names) {
    const ofPod = ({ labels }: { readonly labels?: Readonly<Record<string, string>> | undefined }): boolean =>
      labels?.[criLabels.podName] === name;
    const ready = items.filter((item) => ofPod(item) && item.state === 'SANDBOX_READY');
    expect(ready, `ready sandboxes of ${name}`).toHaveLength(1);
    const running = containers.filter((item) => ofPod(item) && item.state === 'CONTAINER_RUNNING');
    expect(running, `running containers of ${name}`).toHaveLength(1);
    expect(running[0]?.podSandboxId).toBe(ready[0]?.id);
    expect(`containerd://${running[0]?.id}`).toBe(run.container(name, 'main').containerID);
  }
}

const missing = missingForContainerd('2.x');
if (missing !== undefined) console.warn(`SKIPPED the agent in trouble with containerd: needs ${missing}`);

describe.skipIf(missing !== undefined)('the agent in trouble with containerd', () => {
  let containerd: Containerd;
  let direct: CriRuntime;

  beforeAll(async () => {
    containerd = await Containerd.open('2.x');
    direct = await containerd.connect();
  });

  afterAll(async () => {
    await direct?.[Symbol.asyncDispose]();
    await containerd?.[Symbol.asyncDispose]();
  });

  test('the socket is gone for a while: pods say so, run on, and new ones start when it is back', async () => {
    await using proxy = await UnreliableSocket.open(join(containerd.folder, 'gone.sock'), containerd.socket);
    await using world = await openWorld(proxy.endpoint);
    const run = await started(world);
    await world.write('old.json', manifest('old'));
    await run.untilReady('old');
    const { containerID } = run.container('old', 'main');
    await proxy.vanish();
    await run.untilPod('old', 'says what it waits for', waitsForRuntime(/ENOENT|UNAVAILABLE|No connection/));
    await world.write('new.json', manifest('new'));
    await run.untilPod('new', 'says what it waits for', waitsForRuntime(/./));
    expect(await run.ask({ do: 'health' })).toMatchObject({ ready: false, network: { ready: false } });
    await delay(awayMs);
    await proxy.listen();
    await run.untilReady('new');
    await waitForNothing(run);
    expect(run.container('old', 'main')).toMatchObject({ containerID, restartCount: 0 });
    expect(await run.ask({ do: 'health' })).toMatchObject({ ready: true });
    await end(run, world, ['old', 'new']);
  });

  test('containerd hangs: calls end, pods say so, and it goes on where it was', async () => {
    await using world = await openWorld(containerd.endpoint);
    const run = await started(world);
    await world.write('old.json', manifest('old'));
    await run.untilReady('old');
    containerd.freeze();
    try {
      await world.write('new.json', manifest('new'));
      await run.untilPod('new', 'says what it waits for', waitsForRuntime(/no answer within/));
      await run.untilPod('old', 'says what it waits for', waitsForRuntime(/./));
    } finally {
      containerd.thaw();
    }
    await run.untilReady('new');
    await waitForNothing(run);
    expect(run.container('old', 'main').restartCount).toBe(0);
    await expectEachOnce(direct, run, ['old', 'new']);
    await end(run, world, ['old', 'new']);
  });

  test.each<StruckVerb>(['runPodSandbox', 'createContainer', 'startContainer'])(
    'the answer to %s never comes: the call ends, and the pod has everything once',
    async (verb) => {
      await using interposed = await InterposedRuntime.open(direct, join(containerd.folder, `${verb}.sock`));
      await using world = await openWorld(interposed.endpoint);
      const run = await started(world);
      interposed.strike(verb, 'unanswered', async () => {});
      await world.write('lost.json', manifest('lost'));
      // Not for long does the pod wait: what was done all the same is found at the next look.
      await run.until('the call runs out of time', ({ log }) => /no answer within \d+\.\d s from unix:/.test(log));
      await run.untilReady('lost');
      expect(run.container('lost', 'main').restartCount).toBe(0);
      await expectEachOnce(direct, run, ['lost']);
      await end(run, world, ['lost']);
    },
  );

  test('more is there than one message holds: new pods start, and the log says what to do', async () => {
    const filler = 'x'.repeat(4_000_000);
    const ids: string[] = [];
    for (const index of [0, 1, 2, 3, 4]) {
      const config = {
        metadata: { name: `large-${index}`, namespace: 'large', uid: `large-${index}`, attempt: 0 },
        annotations: { filler },
        linux: { cgroupParent: `/${containerd.name}`, securityContext: { namespaceOptions: { network: 'NODE' } } },
      } as const;
      ids.push((await direct.runtime.runPodSandbox({ config }, signal)).podSandboxId ?? '');
    }
    await expect(direct.runtime.listPodSandbox({}, signal)).rejects.toThrow('larger than one message of 16 MiB');
    await using world = await openWorld(containerd.endpoint);
    const run = await started(world);
    await world.write('small.json', manifest('small'));
    await run.untilReady('small');
    expect(run.log).toContain('larger than one message of 16 MiB');
    await world.remove('small.json');
    for (const podSandboxId of ids) await direct.runtime.removePodSandbox({ podSandboxId }, signal);
    await run.untilGone();
    await run[Symbol.asyncDispose]();
  });

  test('a pull that stalls holds up nobody, says that it is at it, and ends with its pod', async () => {
    const sockets = new Set<Socket>();
    const registry = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    const { port } = registry.address() as AddressInfo;
    try {
      await using world = await openWorld(containerd.endpoint);
      const run = await started(world);
      await world.write('stalled.json', manifest('stalled', `127.0.0.1:${port}/never:1`, 'Always'));
      await run.untilPod('stalled', 'says what it waits for', ({ waits }) =>
        waits.some((wait) => wait.startsWith(`ensure-image image 127.0.0.1:${port}/never:1`)),
      );
      await eventually('the registry is asked', () => sockets.size > 0);
      await world.write('other.json', manifest('other'));
      await run.untilReady('other');
      await end(run, world, ['stalled', 'other']);
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => registry.close(resolve));
    }
  });
});

const missingDocker = missingForDocker();
if (missingDocker !== undefined) console.warn(`SKIPPED the agent in trouble with Docker: needs ${missingDocker}`);

test.skipIf(missingDocker !== undefined)(
  'no Docker, then one that is too old, then a good one, which hangs and is killed: the pod says so each time and runs at the end',
  async () => {
    await using dockerd = await Dockerd.open();
    const path = join(dockerd.folder, 'chosen.sock');
    await using world = await openWorld(`docker://${path}`);
    const run = await started(world);
    await world.write('web.json', manifest('web'));
    await run.untilPod('web', 'says what it waits for', waitsForRuntime(/Docker is not there/));
    const old = createHttpServer((_request, response) => {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ Version: '19.03.15', ApiVersion: '1.40', MinAPIVersion: '1.12' }));
    });
    await new Promise<void>((resolve) => old.listen(path, resolve));
    const tooOld = /19\.03\.15 speaks API 1\.40; 1\.41 .* is needed/;
    await run.untilPod('web', 'says what it waits for', waitsForRuntime(tooOld));
    expect(await run.ask({ do: 'health' })).toMatchObject({ ready: false });
    old.closeAllConnections();
    await new Promise((resolve) => old.close(resolve));
    await rm(path, { force: true });
    await using proxy = await UnreliableSocket.open(path, dockerd.socket);
    await run.untilReady('web');
    const before = run.container('web', 'main');
    await proxy.vanish();
    await run.untilPod('web', 'says what it waits for', waitsForRuntime(/Docker is not there/));
    await delay(awayMs);
    await proxy.listen();
    await waitForNothing(run);
    expect(run.container('web', 'main')).toMatchObject({ containerID: before.containerID, restartCount: 0 });
    dockerd.freeze();
    try {
      await run.untilPod('web', 'says what it waits for', waitsForRuntime(/no answer within/));
    } finally {
      dockerd.thaw();
    }
    await waitForNothing(run);
    expect(run.container('web', 'main')).toMatchObject({ containerID: before.containerID, restartCount: 0 });
    await dockerd.stop('SIGKILL');
    await run.untilPod('web', 'says what it waits for', waitsForRuntime(/./));
    await dockerd.start();
    await run.untilPod('web', 'runs again', ({ ready, waits }) => ready && waits.length === 0, 60_000);
    await end(run, world, ['web']);
    expect(await dockerd.docker('ps', '-aq')).toBe('');
    expect(await world.leftovers()).toEqual([]);
  },
  180_000 + awayMs,
);
