import { readdirSync } from 'node:fs';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RuntimeStep } from '../../../cri/embedded/index.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { BuiltProgram } from '../../support/built-program.js';
import type { HostPlan } from './runtime-host.js';
import { logText, missingComponents, neverAborted, RuntimeWorld, until } from './runtime-world.js';

const missing = missingComponents();
if (missing !== '') console.warn(`SKIPPED embedded runtime recovery: ${missing}`);

describe.skipIf(missing !== '')('a new runtime over the folders of an old one', () => {
  test('running containers are taken over: same process, logs go on, the end is seen', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    const id = await world.startContainer(sandbox, 'main', [
      'sh',
      '-c',
      'trap "exit 33" TERM; echo up; while true; do sleep 0.02; done',
    ]);
    const created = await world.createContainer(sandbox, 'waiting', ['sh', '-c', 'exit 4']);
    const before = await world.status(id);
    await until(async () => (await readFile(before.logPath ?? '', 'utf8')).includes('up') || undefined, 'the trap');
    const pid = await world.pid(id);
    await world.reopen();
    expect(await world.status(id)).toEqual(before);
    expect(await world.pid(id)).toBe(pid);
    expect(await world.sandboxState(sandbox)).toBe('SANDBOX_READY');
    expect((await world.status(created)).state).toBe('CONTAINER_CREATED');
    await world.runtime.startContainer({ containerId: created }, neverAborted());
    expect((await world.exited(created)).exitCode).toBe(4);
    await world.runtime.stopContainer({ containerId: id, timeout: 10 }, neverAborted());
    expect((await world.status(id)).exitCode).toBe(33);
    await world.reopen();
    expect(await world.status(id)).toMatchObject({ exitCode: 33, reason: 'Error' });
    // The name stays taken across a restart.
    await expect(world.createContainer(sandbox, 'main', ['true'])).rejects.toThrow(/attempt 0 is/);
  });

  test('what ended while nobody looked is known with its code and time', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    const mounts = [{ hostPath: world.folder, containerPath: '/host', readonly: true }];
    const script = 'until test -e /host/end; do sleep 0.05; done; exit 9';
    const id = await world.startContainer(sandbox, 'main', ['sh', '-c', script], { mounts });
    await world.close();
    await writeFile(join(world.folder, 'end'), '');
    const exitFile = join(world.options.runDir, 'exits', id);
    const written = await until(async () => await stat(exitFile).catch(() => undefined), 'the exit file');
    await world.reopen();
    const status = await world.status(id);
    expect(status).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 9, reason: 'Error' });
    expect((status.finishedAt ?? 0) / 1e6).toBeCloseTo(written.mtimeMs, 0);
  });

  test('a shared PID namespace survives the restart', async () => {
    await using world = await RuntimeWorld.open();
    const namespaceOptions = { network: 'POD', ipc: 'POD', pid: 'POD' } as const;
    const linux = { cgroupParent: world.cgroupParent, securityContext: { namespaceOptions } };
    const sandbox = await world.runSandbox('pod', { linux });
    const one = await world.startContainer(sandbox, 'one', ['sleep', '424242'], {
      linux: { securityContext: { namespaceOptions } },
    });
    await world.reopen();
    expect(await world.sandboxState(sandbox)).toBe('SANDBOX_READY');
    const two = await world.startContainer(sandbox, 'two', ['sleep', '1000'], {
      linux: { securityContext: { namespaceOptions } },
    });
    expect(await world.exec(two, 'ps')).toContain('424242');
    await world.runtime.stopContainer({ containerId: one, timeout: 0 }, neverAborted());
    // Its first process is not the namespace's: the other container lives on.
    expect((await world.status(two)).state).toBe('CONTAINER_RUNNING');
    const init = Number(await readFile(join(world.options.runDir, 'containers', sandbox, 'pidfile'), 'utf8'));
    process.kill(init, 'SIGKILL');
    await until(
      async () => ((await world.sandboxState(sandbox)) === 'SANDBOX_NOTREADY' ? true : undefined),
      'not ready',
    );
  });

  test('after a reboot nothing is ready, everything has ended, and all can be removed', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    const running = await world.startContainer(sandbox, 'main', ['sleep', '1000']);
    const done = await world.startContainer(sandbox, 'done', ['sh', '-c', 'exit 5']);
    await world.exited(done);
    const pid = await world.pid(running);
    await world.close();
    // What a reboot does: every process of the pods ends, all mounts are gone, /run is empty, the boot has another id.
    for (const conmon of [await world.conmonPid(running)]) process.kill(conmon, 'SIGKILL');
    process.kill(pid, 'SIGKILL');
    await until(
      async () => ((await stat(`/proc/${pid}`).catch(() => undefined)) === undefined ? true : undefined),
      'its end',
    );
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((path) => path.startsWith(world.folder));
    for (const path of mounts) await hostProgram(['umount', path]);
    for (const id of [running, done])
      await tryHostProgram(['crun', '--root', join(world.options.runDir, 'oci/crun'), 'delete', '-f', id]);
    await rm(world.options.runDir, { recursive: true });
    world.bootId = 'boot-2';
    await world.reopen();
    expect(await world.sandboxState(sandbox)).toBe('SANDBOX_NOTREADY');
    expect(await world.status(running)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 137, reason: 'Unknown' });
    expect(await world.status(done)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 5, reason: 'Error' });
    await expect(world.createContainer(sandbox, 'late', ['true'])).rejects.toThrow(/not ready/);
    expect(await world.network.attached()).toEqual([sandbox]);
    await world.runtime.stopPodSandbox({ podSandboxId: sandbox }, neverAborted());
    expect(await world.network.attached()).toEqual([]);
    await world.runtime.removePodSandbox({ podSandboxId: sandbox }, neverAborted());
    expect(await readdir(join(world.options.stateDir, 'containers'))).toEqual([]);
  });

  test('a corrupt record is set aside and what it described is removed', async () => {
    await using world = await RuntimeWorld.open();
    const bad = await world.runSandbox('bad');
    const good = await world.runSandbox('good');
    const lost = await world.startContainer(bad, 'main', ['sleep', '1000']);
    const kept = await world.startContainer(good, 'main', ['sleep', '1000']);
    const pid = await world.pid(lost);
    await world.close();
    await writeFile(join(world.options.stateDir, 'sandboxes', `${bad}.json`), '{"version":1,"check');
    await writeFile(join(world.options.stateDir, 'containers', lost, 'record.json'), 'garbage');
    await world.reopen();
    const { items = [] } = await world.runtime.listPodSandbox({}, neverAborted());
    expect(items.map((item) => item.id)).toEqual([good]);
    expect((await world.status(kept)).state).toBe('CONTAINER_RUNNING');
    await until(
      async () => ((await stat(`/proc/${pid}`).catch(() => undefined)) === undefined ? true : undefined),
      'its end',
    );
    expect(await world.network.attached()).toEqual([good]);
    const records = await readdir(join(world.options.stateDir, 'sandboxes'));
    expect(records.some((name) => name.startsWith(`${bad}.json.corrupt-`))).toBe(true);
    expect(await readdir(join(world.options.runDir, 'ns'))).toEqual([good]);
  });

  test('conmon killed: the container is ended and reported as Unknown, running or restarted over', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    const id = await world.startContainer(sandbox, 'main', ['sleep', '1000']);
    const other = await world.startContainer(sandbox, 'other', ['sleep', '1000']);
    const pids = [await world.pid(id), await world.pid(other)];
    process.kill(await world.conmonPid(id), 'SIGKILL');
    const status = await world.exited(id);
    expect(status).toMatchObject({ exitCode: 137, reason: 'Unknown' });
    expect(status.message).toMatch(/conmon/);
    await world.close();
    process.kill(await world.conmonPid(other), 'SIGKILL');
    await world.reopen();
    expect(await world.status(other)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 137, reason: 'Unknown' });
    for (const pid of pids) {
      await until(
        async () => ((await stat(`/proc/${pid}`).catch(() => undefined)) === undefined ? true : undefined),
        'its end',
      );
    }
  });

  test('ends that nobody announces are told to who listens, without being asked', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    const watched = await world.startContainer(sandbox, 'main', ['sleep', '1000']);
    const cut = await world.runSandbox('cut');
    const listening = new AbortController();
    const told = new Map<string, string>();
    const reading = (async () => {
      for await (const event of world.runtime.containerEvents(listening.signal)) {
        if (event.containerEventType !== 'CONTAINER_STOPPED_EVENT') continue;
        const state = event.containersStatuses?.find(({ id }) => id === event.containerId)?.reason;
        told.set(event.containerId ?? '', state ?? event.podSandboxStatus?.state ?? '');
      }
    })();
    process.kill(await world.conmonPid(watched), 'SIGKILL');
    expect(await until(() => told.get(watched), 'word of the container without conmon')).toBe('Unknown');
    await hostProgram(['umount', join(world.options.runDir, 'ns', cut, 'ipc')]);
    await rm(join(world.options.runDir, 'ns', cut, 'ipc'));
    expect(await until(() => told.get(cut), 'word of the sandbox without its namespace')).toBe('SANDBOX_NOTREADY');
    listening.abort();
    await reading;
  });

  test('the process killed from outside is an ordinary end', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    const id = await world.startContainer(sandbox, 'main', ['sleep', '1000']);
    process.kill(await world.pid(id), 'SIGKILL');
    expect(await world.exited(id)).toMatchObject({ exitCode: 137, reason: 'Error' });
  });

  test('a namespace taken away from outside makes the sandbox not ready, and it can be removed', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    await world.startContainer(sandbox, 'main', ['sleep', '1000']);
    await hostProgram(['umount', join(world.options.runDir, 'ns', sandbox, 'net')]);
    expect(await world.sandboxState(sandbox)).toBe('SANDBOX_NOTREADY');
    const again = await world.runSandbox('again');
    await hostProgram(['umount', join(world.options.runDir, 'ns', again, 'ipc')]);
    await world.reopen();
    expect(await world.sandboxState(again)).toBe('SANDBOX_NOTREADY');
  });

  test('a failed attach leaves nothing; a failed detach leaves a not-ready sandbox that a retry removes', async () => {
    await using world = await RuntimeWorld.open();
    world.network.failNextAttach = true;
    await expect(world.runSandbox()).rejects.toThrow(/attach refused/);
    expect((await world.runtime.listPodSandbox({}, neverAborted())).items).toEqual([]);
    expect(await world.network.attached()).toEqual([]);
    expect(await readdir(join(world.options.runDir, 'ns'))).toEqual([]);

    world.network.failNextAttach = true;
    world.network.failDetaches = 1;
    await expect(world.runSandbox()).rejects.toThrow(/attach refused/);
    const { items = [] } = await world.runtime.listPodSandbox({}, neverAborted());
    expect(items.map((item) => item.state)).toEqual(['SANDBOX_NOTREADY']);
    await world.runtime.removePodSandbox({ podSandboxId: items[0]?.id }, neverAborted());
    expect(await world.network.attached()).toEqual([]);
    expect((await world.runtime.listPodSandbox({}, neverAborted())).items).toEqual([]);
  });

  test('a mount that cannot be unmounted stops the removal; nothing is deleted through it', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    const id = await world.startContainer(sandbox, 'main', ['sh', '-c', 'echo precious > /keep']);
    await world.exited(id);
    const root = join(world.options.runDir, 'containers', id, 'rootfs');
    const holder = join(root, 'tmp');
    await hostProgram(['mount', '-t', 'tmpfs', 'berth-test', holder]);
    await expect(world.runtime.removeContainer({ containerId: id }, neverAborted())).rejects.toThrow(
      /unmount container/,
    );
    expect(await readFile(join(root, 'keep'), 'utf8')).toBe('precious\n');
    expect((await world.status(id)).state).toBe('CONTAINER_EXITED');
    await hostProgram(['umount', holder]);
    await world.runtime.removeContainer({ containerId: id }, neverAborted());
  });

  test('a sandbox stopped while containers are made in it: they fail and leave nothing', async () => {
    await using world = await RuntimeWorld.open();
    for (const afterMs of [0, 3, 8, 15, 25]) {
      const sandbox = await world.runSandbox();
      const outcomes = ['one', 'two', 'three'].map(
        async (name) =>
          await world.createContainer(sandbox, name, ['sleep', '1000']).then(
            () => 'made',
            (err: Error) => err.message,
          ),
      );
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await world.runtime.stopPodSandbox({ podSandboxId: sandbox }, neverAborted());
      for (const outcome of await Promise.all(outcomes)) {
        expect(['made', `use sandbox ${sandbox}: it is being stopped`]).toContain(outcome);
      }
      const { containers = [] } = await world.runtime.listContainers({}, neverAborted());
      expect(containers.every((one) => one.state === 'CONTAINER_EXITED')).toBe(true);
      await world.runtime.removePodSandbox({ podSandboxId: sandbox }, neverAborted());
    }
  });

  test.each(['crun', 'runc'])('a start that was cancelled is known for what it is: %s', async (runtimeHandler) => {
    await using world = await RuntimeWorld.open();
    const { runtime } = world;
    const sandbox = await runtime.runPodSandbox({ config: world.sandboxConfig('pod'), runtimeHandler }, neverAborted());
    for (const [index, afterMs] of [0, 1, 2, 4, 8, 16, 24, 32].entries()) {
      const containerId = await world.createContainer(sandbox.podSandboxId ?? '', `c${index}`, ['sleep', '1000']);
      const abort = new AbortController();
      const starting = runtime.startContainer({ containerId }, abort.signal).catch((err: Error) => err.message);
      setTimeout(() => abort.abort(new Error('stop it')), afterMs);
      await starting;
      const waiting = (await world.status(containerId)).state === 'CONTAINER_CREATED';
      if (waiting) await runtime.startContainer({ containerId }, neverAborted());
      expect((await world.status(containerId)).state).toBe('CONTAINER_RUNNING');
      // runc is back a moment before its first process becomes the program.
      const isProgram = async (): Promise<true | undefined> =>
        (await world.exec(containerId, 'ps', '-o', 'args')).includes('sleep 1000') || undefined;
      await until(isProgram, 'the program to run');
      await runtime.removeContainer({ containerId }, neverAborted());
    }
  });

  test('cancelling a create leaves nothing of it', async () => {
    await using world = await RuntimeWorld.open();
    const sandbox = await world.runSandbox();
    for (const afterMs of [0, 2, 5, 10, 15, 20, 30, 45]) {
      const abort = new AbortController();
      const config = world.containerConfig('main', ['sleep', '1000']);
      const creating = world.runtime.createContainer({ podSandboxId: sandbox, config }, abort.signal);
      setTimeout(() => abort.abort(new Error('stop it')), afterMs);
      const outcome = await creating.then(
        ({ containerId }) => containerId,
        (err: Error) => err.message,
      );
      const { containers = [] } = await world.runtime.listContainers({}, neverAborted());
      if (outcome === 'stop it') {
        expect(containers).toEqual([]);
        expect(readdirSync(join(world.options.runDir, 'containers'))).toEqual([]);
      } else {
        await world.runtime.removeContainer({ containerId: outcome }, neverAborted());
      }
    }
  });
});

const steps: readonly RuntimeStep[] = [
  'sandbox-recorded',
  'sandbox-pinned',
  'sandbox-attached',
  'sandbox-ready',
  'container-recorded',
  'container-mounted',
  'container-spec-written',
  'container-created',
  'container-started',
  'container-stopping',
  'container-deleted',
  'container-unmounted',
  'container-removed',
  'sandbox-stopping',
  'sandbox-detached',
  'sandbox-unpinned',
  'sandbox-removed',
];

describe.skipIf(missing !== '')('kill -9 of the process that hosts the runtime', () => {
  const script = 'test/cri/embedded/runtime-host.ts';
  let host: BuiltProgram;
  beforeAll(async () => {
    host = await BuiltProgram.build([script], 120_000);
  });
  afterAll(async () => {
    await host?.[Symbol.asyncDispose]();
  });

  const killedAt = async (
    world: RuntimeWorld,
    dieAt: HostPlan['dieAt'],
    pidMode: 'CONTAINER' | 'POD' = 'CONTAINER',
  ): Promise<void> => {
    await world.close();
    const namespaceOptions = { network: 'POD', ipc: 'POD', pid: pidMode } as const;
    const plan: HostPlan = {
      options: world.options,
      image: world.image,
      networkFolder: join(world.folder, 'network'),
      bootId: world.bootId,
      sandbox: world.sandboxConfig('pod', {
        linux: { cgroupParent: world.cgroupParent, securityContext: { namespaceOptions } },
      }),
      container: world.containerConfig('main', ['sh', '-c', 'echo alive; exec sleep 1000'], {
        linux: { securityContext: { namespaceOptions } },
      }),
      dieAt,
    };
    const path = join(world.folder, 'plan.json');
    await writeFile(path, JSON.stringify(plan));
    const result = await tryHostProgram(['node', host.pathOf(script), path], 60_000);
    expect([result.end, result.stderr]).toEqual([{ kind: 'signalled', signal: 'SIGKILL' }, '']);
    await world.reopen();
  };

  test.each(steps)('at %s: what is listed is true, everything can be removed, nothing is left', async (step) => {
    await using world = await RuntimeWorld.open();
    await killedAt(world, { step });
    const { items = [] } = await world.runtime.listPodSandbox({}, neverAborted());
    const { containers = [] } = await world.runtime.listContainers({}, neverAborted());
    const at = steps.indexOf(step);
    if (at < steps.indexOf('sandbox-ready')) expect(items).toEqual([]);
    else if (at < steps.indexOf('sandbox-stopping')) expect(items.map((item) => item.state)).toEqual(['SANDBOX_READY']);
    else if (at < steps.indexOf('sandbox-removed'))
      expect(items.map((item) => item.state)).toEqual(['SANDBOX_NOTREADY']);
    const expected =
      at < steps.indexOf('container-created') || at >= steps.indexOf('container-removed')
        ? []
        : at === steps.indexOf('container-created')
          ? ['CONTAINER_CREATED']
          : at < steps.indexOf('container-deleted')
            ? ['CONTAINER_RUNNING']
            : ['CONTAINER_EXITED'];
    expect(containers.map((item) => item.state)).toEqual(expected);
    if (step === 'container-started') {
      const id = containers[0]?.id ?? '';
      expect(await world.exec(id, 'echo', 'still here')).toBe('still here');
      const path = (await world.status(id)).logPath ?? '';
      await until(async () => logText(await readFile(path, 'utf8')) === 'alive\n' || undefined, 'its one line');
      expect((await world.status(id)).startedAt).toBeGreaterThan(0);
    }
    // The agent would go on: a pod of the same name can be made next to, or after, what was found.
    await world.removeAll();
    await world.startContainer(await world.runSandbox(), 'main', ['sleep', '1000']);
  });

  test.each(['unshare', 'mount ', ' start ', 'delete --force', 'umount'])('while %s runs', async (program) => {
    await using world = await RuntimeWorld.open();
    await killedAt(world, { program });
    await world.removeAll();
    await world.startContainer(await world.runSandbox(), 'main', ['sleep', '1000']);
  });

  test.each([1, 5, 10, 15, 20, 25, 30, 40])('%i ms after conmon was started', async (conmonAfterMs) => {
    await using world = await RuntimeWorld.open();
    await killedAt(world, { conmonAfterMs });
    await world.removeAll();
    await world.startContainer(await world.runSandbox(), 'main', ['sleep', '1000']);
  });

  test.each([1, 10, 20, 30])('%i ms after the init process of a shared PID namespace', async (conmonAfterMs) => {
    await using world = await RuntimeWorld.open();
    await killedAt(world, { conmonAfterMs }, 'POD');
    await world.removeAll();
  });
});
