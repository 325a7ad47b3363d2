import { mkdtemp, readFile, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../../base/run-program.js';
import { ensureVolatileFolder } from '../../../cri/embedded/index.js';
import { isCriCode } from '../../../cri/index.js';
import { hostProgram } from '../../support/host-program.js';
import { imageLookup } from './busybox-image.js';
import { logText, missingComponents, neverAborted, RuntimeWorld, until } from './runtime-world.js';

const missing = missingComponents();
if (missing !== '') console.warn(`SKIPPED embedded runtime: ${missing}`);

describe.skipIf(missing !== '')('the life of a pod in the embedded runtime', () => {
  test('run, create, start, stop, remove', async () => {
    await using world = await RuntimeWorld.open();
    const { runtime } = world;
    const signal = neverAborted();
    const sandbox = await world.runSandbox();
    const ready = await runtime.podSandboxStatus({ podSandboxId: sandbox }, signal);
    expect(ready.status).toMatchObject({
      id: sandbox,
      state: 'SANDBOX_READY',
      network: { ip: '10.250.0.7', additionalIps: [{ ip: 'fd00::7' }] },
      labels: { pod: 'pod' },
    });

    const containerId = await world.createContainer(sandbox, 'main', ['sh', '-c', 'echo hello; exec sleep 1000']);
    expect(await world.status(containerId)).toMatchObject({ state: 'CONTAINER_CREATED', startedAt: 0, exitCode: 0 });
    await runtime.startContainer({ containerId }, signal);
    expect(await world.status(containerId)).toMatchObject({
      state: 'CONTAINER_RUNNING',
      metadata: { name: 'main', attempt: 0 },
      imageId: world.image.id,
      imageRef: world.image.repoDigests[0],
      stopSignal: 'SIGTERM',
    });
    const log = (await world.status(containerId)).logPath ?? '';
    await until(async () => logText(await readFile(log, 'utf8')) === 'hello\n', 'the log line');

    // sleep as PID 1 ignores SIGTERM: the grace must be over before it goes.
    await runtime.stopContainer({ containerId, timeout: 0 }, signal);
    const ended = await world.status(containerId);
    expect(ended).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 137, reason: 'Error' });
    expect(ended.finishedAt).toBeGreaterThanOrEqual(ended.startedAt ?? Infinity);

    await runtime.stopContainer({ containerId, timeout: 5 }, signal);
    await runtime.removeContainer({ containerId }, signal);
    await runtime.removeContainer({ containerId }, signal);
    await expect(runtime.containerStatus({ containerId }, signal)).rejects.toSatisfy((err) =>
      isCriCode(err, 'not-found'),
    );
    await runtime.stopPodSandbox({ podSandboxId: sandbox }, signal);
    await runtime.stopPodSandbox({ podSandboxId: sandbox }, signal);
    expect(await world.sandboxState(sandbox)).toBe('SANDBOX_NOTREADY');
    await runtime.removePodSandbox({ podSandboxId: sandbox }, signal);
    await runtime.removePodSandbox({ podSandboxId: sandbox }, signal);
    expect((await runtime.listPodSandbox({}, signal)).items).toEqual([]);
  });

  test('a folder for logs and a name may be in any alphabet, and with spaces', async () => {
    await using world = await RuntimeWorld.open();
    const logDirectory = join(world.logFolder, 'жур нал');
    const sandbox = await world.runSandbox('pod', { logDirectory });
    await world.exited(await world.startContainer(sandbox, 'größe', ['echo', 'grün'], { logPath: 'größe.log' }));
    expect(logText(await readFile(join(logDirectory, 'größe.log'), 'utf8'))).toBe('grün\n');
    await world.removeAll();
  });

  test('the volatile folder gets a tmpfs where it has none, once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-run-'));
    const path = join(folder, 'run');
    try {
      await ensureVolatileFolder(path, { run: runProgram }, neverAborted());
      const { type } = await statfs(path);
      expect(type).toBe(0x01021994);
      await ensureVolatileFolder(path, { run: runProgram }, neverAborted());
      const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line.includes(path));
      expect(mounts.length).toBeLessThanOrEqual(1);
      if (mounts.length === 1) await hostProgram(['umount', path]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('events tell each step', async () => {
    await using world = await RuntimeWorld.open();
    const stop = new AbortController();
    const seen: string[] = [];
    const events = world.runtime.containerEvents(stop.signal);
    const reading = (async () => {
      for await (const event of events) seen.push(`${event.containerEventType} ${event.containerId?.slice(0, 8)}`);
    })();
    const sandbox = await world.runSandbox();
    const container = await world.startContainer(sandbox, 'main', ['sh', '-c', 'exit 3']);
    await world.exited(container);
    await world.runtime.removePodSandbox({ podSandboxId: sandbox }, neverAborted());
    const [s, c] = [sandbox.slice(0, 8), container.slice(0, 8)];
    const expected = [
      `CONTAINER_CREATED_EVENT ${s}`,
      `CONTAINER_STARTED_EVENT ${s}`,
      `CONTAINER_CREATED_EVENT ${c}`,
      `CONTAINER_STARTED_EVENT ${c}`,
      `CONTAINER_STOPPED_EVENT ${c}`,
      `CONTAINER_STOPPED_EVENT ${s}`,
      `CONTAINER_DELETED_EVENT ${c}`,
      `CONTAINER_DELETED_EVENT ${s}`,
    ];
    await until(() => seen.length >= expected.length, 'all events');
    stop.abort();
    await reading;
    expect(seen.toSorted()).toEqual(expected.toSorted());
  });

  test('the last container of an image that was removed takes what was kept of it along', async () => {
    await using world = await RuntimeWorld.open();
    let here = true;
    let sweeps = 0;
    const known = imageLookup([world.image]);
    const images = { find: (name: string) => (here ? known.find(name) : undefined), sweep: async () => void sweeps++ };
    await world.reopen({ images });
    const sandbox = await world.runSandbox();
    const [first, second] = [
      await world.startContainer(sandbox, 'first', ['sleep', '1000']),
      await world.startContainer(sandbox, 'second', ['sleep', '1000']),
    ];
    await world.runtime.removeContainer({ containerId: first }, neverAborted());
    expect(sweeps).toBe(0);
    here = false;
    await world.runtime.removeContainer({ containerId: second }, neverAborted());
    expect(sweeps).toBe(1);
  });

  test.each([
    [0, 'Completed'],
    [1, 'Error'],
    [42, 'Error'],
    [255, 'Error'],
  ])('exit code %i is exact, reason %s', async (code, reason) => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    const id = await world.startContainer(sandbox, 'main', ['sh', '-c', `exit ${code}`]);
    expect(await world.exited(id)).toMatchObject({ exitCode: code, reason });
  });
});
