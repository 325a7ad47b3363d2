import { existsSync, readFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { CriError, isCriCode, type v1 } from '../../../cri/index.js';
import { eventually } from '../../support/daemon.js';
import { absent, code, signal, sleeper, type ContractCases } from './cases.js';

/** Verbs that older runtimes do not have answer so, and nothing else. */
async function orUnimplemented<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (err) {
    if (isCriCode(err, 'unimplemented')) return undefined;
    throw err;
  }
}

/** Verb by verb, what the comments of the API ask besides the life of a pod: idempotence, codes, what is told of what. */
export function verbCases({ subject, runPod, ended }: ContractCases): void {
  test('status: more is told only when more is asked for', async () => {
    const { runtime } = subject();
    expect((await runtime.status({}, signal)).info ?? {}).toEqual({});
    const { info = {} } = await runtime.status({ verbose: true }, signal);
    expect(Object.values(info).every((value) => typeof value === 'string')).toBe(true);
  });

  test('runtime configuration: a pod CIDR is taken, the cgroup driver is told', async () => {
    const { runtime } = subject();
    await runtime.updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr: '10.99.0.0/24' } } }, signal);
    const config = await orUnimplemented(runtime.runtimeConfig({}, signal));
    if (config) expect(['CGROUPFS', 'SYSTEMD']).toContain(config.linux?.cgroupDriver);
  });

  test('requests without what they need are refused', async () => {
    const { runtime } = subject();
    await expect(runtime.runPodSandbox({}, signal)).rejects.toBeInstanceOf(CriError);
    await using pod = await runPod();
    const request = { podSandboxId: pod.id, config: { image: { image: 'x' } }, sandboxConfig: pod.config };
    await expect(runtime.createContainer(request, signal)).rejects.toBeInstanceOf(CriError);
  });

  test('sandboxes: stopped and removed twice; a stopped one is not ready, and still told', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    const podSandboxId = pod.id;
    for (const _again of [1, 2]) await runtime.stopPodSandbox({ podSandboxId }, signal);
    const { status } = await runtime.podSandboxStatus({ podSandboxId, verbose: true }, signal);
    expect(status).toMatchObject({ state: 'SANDBOX_NOTREADY', metadata: pod.config.metadata });
    for (const _again of [1, 2]) await runtime.removePodSandbox({ podSandboxId }, signal);
    const { items } = await runtime.listPodSandbox({ filter: { id: podSandboxId } }, signal);
    expect(items ?? []).toEqual([]);
  });

  test('exec: a command that cannot start is a failure of the call, and no text is cut short in silence', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    const absent = runtime.execSync({ containerId, cmd: ['no-such-program'], timeout: 60 }, signal);
    await expect(absent).rejects.toBeInstanceOf(CriError);
    await expect(absent).rejects.toThrow(/no-such-program/);
    const ran = await runtime.execSync({ containerId, cmd: ['sh', '-c', 'exit 126'], timeout: 60 }, signal);
    expect(ran.exitCode).toBe(126);
    const cut = await runtime
      .execSync({ containerId, cmd: ['sh', '-c', 'true \0 false'], timeout: 60 }, signal)
      .catch((err: unknown) => err);
    if (!(cut instanceof CriError)) expect((cut as v1.ExecSyncResponse).exitCode).not.toBe(0);
  });

  test('requests that cannot be met are refused, and leave nothing', async () => {
    const { runtime, cannot } = subject();
    await using pod = await runPod();
    const refused: Partial<v1.ContainerConfig>[] = [
      { mounts: [{ hostPath: '', containerPath: '/x' }] },
      { mounts: [{ hostPath: '/dev/null/below', containerPath: '/x' }] },
      { linux: { securityContext: { supplementalGroups: [-1] } } },
      { image: { image: '' } },
    ];
    for (const [index, overrides] of refused.entries()) {
      await expect(pod.start(`bad-${index}`, sleeper, overrides)).rejects.toBeInstanceOf(CriError);
    }
    const metadata = { ...pod.config.metadata, attempt: 9 };
    const ofMachine = cannot?.['refuse-sysctl'] === undefined ? ['vm.swappiness', 'kernel.panic'] : [];
    for (const name of ofMachine) {
      const config = { ...pod.config, metadata, linux: { ...pod.config.linux, sysctls: { [name]: '1' } } };
      await expect(runtime.runPodSandbox({ config }, signal)).rejects.toThrow(name);
    }
    if (cannot?.['refuse-sysctl'] === undefined) {
      const securityContext = { namespaceOptions: { network: 'NODE' } } as const;
      const linux = { ...pod.config.linux, securityContext, sysctls: { 'net.core.somaxconn': '512' } };
      const config = { ...pod.config, metadata, hostname: '', linux };
      await expect(runtime.runPodSandbox({ config }, signal)).rejects.toThrow('net.core.somaxconn');
    }
    const { items = [] } = await runtime.listPodSandbox(
      { filter: { labelSelector: { pod: pod.config.metadata?.name ?? '' } } },
      signal,
    );
    expect(items.map(({ id }) => id)).toEqual([pod.id]);
    const { containers = [] } = await runtime.listContainers(
      { filter: { podSandboxId: pod.id, state: { state: 'CONTAINER_RUNNING' } } },
      signal,
    );
    expect(containers).toEqual([]);
  });

  test('ids cut short, as crictl prints and sends them, are ids in every verb', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    const podSandboxId = pod.id.slice(0, 13);
    const full = await pod.start('main', sleeper);
    const containerId = full.slice(0, 13);
    expect((await runtime.podSandboxStatus({ podSandboxId }, signal)).status?.id).toBe(pod.id);
    expect((await runtime.containerStatus({ containerId }, signal)).status?.id).toBe(full);
    expect((await runtime.execSync({ containerId, cmd: ['true'], timeout: 60 }, signal)).exitCode ?? 0).toBe(0);
    await runtime.stopContainer({ containerId, timeout: 0 }, signal);
    expect((await runtime.containerStatus({ containerId: full }, signal)).status?.state).toBe('CONTAINER_EXITED');
    await runtime.removeContainer({ containerId }, signal);
    await expect(runtime.containerStatus({ containerId: full }, signal)).rejects.toSatisfy(code('not-found'));
    await runtime.stopPodSandbox({ podSandboxId }, signal);
    await runtime.removePodSandbox({ podSandboxId }, signal);
    await expect(runtime.podSandboxStatus({ podSandboxId: pod.id }, signal)).rejects.toSatisfy(code('not-found'));
  });

  test('an empty id is refused by every verb', async () => {
    const { runtime } = subject();
    const asked = [
      runtime.podSandboxStatus({}, signal),
      runtime.containerStatus({}, signal),
      runtime.startContainer({}, signal),
      runtime.execSync({ cmd: ['true'] }, signal),
      runtime.containerStats({}, signal),
    ];
    for (const one of await Promise.allSettled(asked)) {
      expect(one).toMatchObject({ status: 'rejected', reason: expect.toSatisfy((err) => err instanceof CriError) });
    }
  });

  test('filters are combined: all must hold', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    await using other = await runPod();
    const running = await pod.start('main', sleeper);
    const created = await pod.create('created', sleeper);
    await other.start('main', sleeper);
    const ids = async (filter: v1.ContainerFilter): Promise<unknown[]> =>
      ((await runtime.listContainers({ filter }, signal)).containers ?? []).map(({ id }) => id);
    const state = { state: 'CONTAINER_RUNNING' } as const;
    const labelSelector = { container: 'main' };
    expect(await ids({ id: running, podSandboxId: pod.id, state, labelSelector })).toEqual([running]);
    expect(await ids({ id: running, podSandboxId: other.id })).toEqual([]);
    expect(await ids({ id: created, state })).toEqual([]);
    expect(await ids({ podSandboxId: pod.id, labelSelector: { container: 'main', other: 'x' } })).toEqual([]);
    expect(await ids({ podSandboxId: pod.id.slice(0, 13), state })).toEqual([running]);
    const sandboxes = async (filter: v1.PodSandboxFilter): Promise<unknown[]> =>
      ((await runtime.listPodSandbox({ filter }, signal)).items ?? []).map(({ id }) => id);
    const ready = { state: 'SANDBOX_READY' } as const;
    const own = { pod: pod.config.metadata?.name ?? '' };
    expect(await sandboxes({ id: pod.id, state: ready, labelSelector: own })).toEqual([pod.id]);
    expect(await sandboxes({ id: other.id, state: ready, labelSelector: own })).toEqual([]);
    expect(await sandboxes({ id: pod.id, state: { state: 'SANDBOX_NOTREADY' } })).toEqual([]);
    expect(await ids({ id: 'f'.repeat(64) })).toEqual([]);
  });

  test('a group without a user is refused, in sandboxes and in containers; so is a privileged one in a sandbox that is not', async () => {
    const { runtime, cannot } = subject();
    await using pod = await runPod();
    const runAsGroup = { value: 1000 };
    const metadata = { ...pod.config.metadata, attempt: 7 };
    const config = { ...pod.config, metadata, linux: { ...pod.config.linux, securityContext: { runAsGroup } } };
    await expect(runtime.runPodSandbox({ config }, signal)).rejects.toBeInstanceOf(CriError);
    const privileged = pod.create('mighty', sleeper, { linux: { securityContext: { privileged: true } } });
    await expect(privileged).rejects.toBeInstanceOf(CriError);
    if (cannot?.['late-privileged'] !== undefined) return;
    // An ephemeral container may make a pod privileged that was not: what is sent along counts.
    const said = { ...pod.config, linux: { ...pod.config.linux, securityContext: { privileged: true } } };
    const later = pod.containerConfig('later', sleeper, { linux: { securityContext: { privileged: true } } });
    await runtime.createContainer({ podSandboxId: pod.id, config: later, sandboxConfig: said }, signal);
  });

  test('stop without a grace is SIGKILL at once; with one it is the stop signal that was asked for', async () => {
    const { runtime, cannot } = subject();
    await using pod = await runPod();
    const started = (name: string): Promise<string> =>
      pod.startScript(name, 'trap "exit 3" TERM; trap "exit 4" USR1', 'while true; do sleep 0.05; done');
    const exitCode = async (containerId: string): Promise<number | undefined> =>
      (await runtime.containerStatus({ containerId }, signal)).status?.exitCode;
    const killed = await started('killed');
    await runtime.stopContainer({ containerId: killed, timeout: 0 }, signal);
    if (cannot?.['kill-at-once'] === undefined) expect(await exitCode(killed)).toBe(137);
    const asked = await started('asked');
    // Thirty-five days, longer than a timer can be set for.
    await runtime.stopContainer({ containerId: asked, timeout: 3_000_000 }, signal);
    expect(await exitCode(asked)).toBe(3);
  });

  test('statistics: of those that run when all are asked for, of one that ended without a failure', async () => {
    const { runtime, cannot } = subject();
    await using pod = await runPod();
    const running = await pod.start('running', sleeper);
    const over = await pod.start('ended', ['true']);
    await ended(over);
    const { stats } = await runtime.listContainerStats({ filter: { podSandboxId: pod.id } }, signal);
    const used = (stats ?? []).filter(({ cpu }) => cpu?.usageCoreNanoSeconds != null);
    expect(used.map(({ attributes }) => attributes?.id)).toEqual([running]);
    expect(used[0]?.cpu?.timestamp).toBeGreaterThan(1e18);
    expect(used[0]?.memory?.timestamp).toBeGreaterThan(1e18);
    if (cannot?.['stats-of-ended'] !== undefined) return;
    const one = await runtime.containerStats({ containerId: over }, signal);
    expect(one.stats?.attributes).toMatchObject({ id: over, metadata: { name: 'ended' } });
    await runtime.stopPodSandbox({ podSandboxId: pod.id }, signal);
    const stopped = await orUnimplemented(runtime.podSandboxStats({ podSandboxId: pod.id }, signal));
    if (stopped) expect(stopped.stats?.attributes?.id).toBe(pod.id);
  });

  test('containers: one that was never started is stopped and removed; one that ended does not start again', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    const created = await pod.create('created', sleeper);
    await runtime.stopContainer({ containerId: created, timeout: 0 }, signal);
    await runtime.removeContainer({ containerId: created }, signal);
    const over = await pod.start('ended', sleeper);
    await runtime.stopContainer({ containerId: over, timeout: 0 }, signal);
    await expect(runtime.startContainer({ containerId: over }, signal)).rejects.toBeInstanceOf(CriError);
    expect((await runtime.containerStatus({ containerId: over }, signal)).status?.state).toBe('CONTAINER_EXITED');
  });

  test('containers: of two starts at once one is refused, whatever part of its id is given', async (context) => {
    const { runtime, cannot } = subject();
    if (cannot?.['two-starts'] !== undefined) return context.skip(cannot['two-starts']);
    await using pod = await runPod();
    // One that lasts, and one that is over before the second start comes to it.
    for (const [name, command] of [
      ['lasts', sleeper],
      ['short', ['true']],
    ] as const) {
      const id = await pod.create(name, command);
      const starts = [id, id.slice(0, 13)].map((containerId) => runtime.startContainer({ containerId }, signal));
      const settled = await Promise.allSettled(starts);
      expect(settled.map((one) => one.status).sort()).toEqual(['fulfilled', 'rejected']);
      // containerd and CRI-O have no code for it.
      const code = expect.stringMatching(/^(failed-precondition|unknown)$/) as string;
      expect(settled.find((one) => one.status === 'rejected')).toMatchObject({ reason: { failure: { code } } });
      if (name === 'short') expect(await ended(id)).toMatchObject({ exitCode: 0, reason: 'Completed' });
      else expect((await runtime.containerStatus({ containerId: id }, signal)).status?.state).toBe('CONTAINER_RUNNING');
    }
  });

  test('containers: none is started in a sandbox that was stopped, not even with the namespaces of the machine', async () => {
    const { runtime } = subject();
    for (const mode of ['POD', 'NODE'] as const) {
      const pid = mode === 'NODE' ? mode : 'CONTAINER';
      const linux = { securityContext: { namespaceOptions: { network: mode, ipc: mode, pid } } } as const;
      const ofMachine = mode === 'NODE' ? { hostname: '' } : {};
      await using pod = await runPod({ ...ofMachine, linux: { cgroupParent: subject().cgroupParent, ...linux } });
      const containerId = await pod.create('main', sleeper, { linux });
      await runtime.stopPodSandbox({ podSandboxId: pod.id }, signal);
      await expect(runtime.startContainer({ containerId }, signal)).rejects.toBeInstanceOf(CriError);
      expect((await runtime.containerStatus({ containerId }, signal)).status?.state).not.toBe('CONTAINER_RUNNING');
    }
  });

  test('container status: the image as it was asked for, and the one it was made of', async () => {
    const { runtime, imageRef } = subject();
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    const { status } = await runtime.containerStatus({ containerId, verbose: true }, signal);
    expect(status?.image?.image).toBe(imageRef);
    expect(status?.imageRef).not.toBe('');
    const { containers } = await runtime.listContainers({ filter: { id: containerId } }, signal);
    expect(containers?.[0]).toMatchObject({
      podSandboxId: pod.id,
      metadata: { name: 'main' },
      image: { image: status?.image?.image },
    });
    expect(containers?.[0]?.imageRef).not.toBe('');
  });

  test('container status: the process is told with all else that is asked for, where crictl shows it', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    const containerId = await pod.start('main', ['sleep', '123456']);
    const { info } = await runtime.containerStatus({ containerId, verbose: true }, signal);
    const { pid } = JSON.parse(info?.['info'] ?? '{}') as { pid?: number };
    const command = ['sleep', '123456', ''].join('\0');
    await eventually('its command', async () => readFileSync(`/proc/${pid}/cmdline`, 'utf8') === command);
  });

  test('verbs on a container that is not there say not-found', async () => {
    const { runtime, streaming } = subject();
    const containerId = absent;
    const asked = [
      runtime.containerStatus({ containerId }, signal),
      runtime.updateContainerResources({ containerId, linux: { cpuShares: 2 } }, signal),
      runtime.reopenContainerLog({ containerId }, signal),
      streaming.exec({ containerId, cmd: ['true'], stdout: true }, { stdout: new PassThrough() }, signal),
      streaming.attach({ containerId, stdout: true }, { stdout: new PassThrough() }, signal),
    ];
    for (const one of await Promise.allSettled(asked)) {
      expect(one).toMatchObject({ status: 'rejected', reason: { failure: { code: 'not-found' } } });
    }
  });

  test('a log is reopened only while its container runs, and none is made by a refusal', async (context) => {
    const { runtime, cannot } = subject();
    if (cannot?.['refuse-unstarted'] !== undefined) return context.skip(cannot['refuse-unstarted']);
    await using pod = await runPod();
    const created = await pod.create('created', sleeper);
    await expect(runtime.reopenContainerLog({ containerId: created }, signal)).rejects.toBeInstanceOf(CriError);
    const over = await pod.start('ended', ['true']);
    const { logPath = '' } = await ended(over);
    await rename(logPath, `${logPath}.1`);
    await expect(runtime.reopenContainerLog({ containerId: over }, signal)).rejects.toBeInstanceOf(CriError);
    expect(existsSync(logPath)).toBe(false);
  });

  test('a checkpoint is refused with a reason', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    const asked = runtime.checkpointContainer({ containerId, location: '/nonexistent/checkpoint.tar' }, signal);
    await expect(asked).rejects.toBeInstanceOf(CriError);
    await expect(asked).rejects.toThrow(/checkpoint/i);
    expect((await runtime.containerStatus({ containerId }, signal)).status?.state).toBe('CONTAINER_RUNNING');
  });

  test('statistics of sandboxes: one, those of a label, and not-found', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    await using other = await runPod();
    const one = await orUnimplemented(runtime.podSandboxStats({ podSandboxId: pod.id }, signal));
    if (one === undefined) return;
    expect(one.stats?.attributes).toMatchObject({ id: pod.id, metadata: pod.config.metadata });
    const labelSelector = { pod: other.config.metadata?.name ?? '' };
    const { stats } = await runtime.listPodSandboxStats({ filter: { labelSelector } }, signal);
    expect(stats?.map(({ attributes }) => attributes?.id)).toEqual([other.id]);
    await expect(runtime.podSandboxStats({ podSandboxId: absent }, signal)).rejects.toSatisfy(code('not-found'));
  });

  test('metrics and sandbox resources are answered, or said to be unknown here', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    await orUnimplemented(runtime.listMetricDescriptors({}, signal));
    await orUnimplemented(runtime.listPodSandboxMetrics({}, signal));
    const resources = { cpuShares: 512 };
    const request = { podSandboxId: pod.id, overhead: {}, resources };
    await orUnimplemented(runtime.updatePodSandboxResources(request, signal));
  });

  test('images: by name and by id, absent without a failure, listed by name, removed when it is not there', async (context) => {
    const { images, imageRef, cannot } = subject();
    if (images === undefined) return context.skip('the images of this subject are not a service');
    const { image } = await images.imageStatus({ image: { image: imageRef } }, signal);
    expect(image?.repoTags).toContain(imageRef);
    expect(image?.size).toBeGreaterThan(1000);
    const byId = await images.imageStatus({ image: { image: image?.id } }, signal);
    expect(byId.image?.id).toBe(image?.id);
    expect((await images.imageStatus({ image: { image: 'localhost/none:none' } }, signal)).image ?? null).toBeNull();
    const listed = await images.listImages({ filter: { image: { image: imageRef } } }, signal);
    const ids = listed.images?.map(({ id }) => id);
    if (cannot?.['image-filter'] === undefined) expect(ids).toEqual([image?.id]);
    else expect(ids).toContain(image?.id);
    await images.removeImage({ image: { image: 'localhost/none:none' } }, signal);
    const { imageFilesystems = [] } = await images.imageFsInfo({}, signal);
    expect(imageFilesystems[0]?.fsId?.mountpoint).toMatch(/^\//);
    await expect(images.pullImage({ image: { image: 'NOT a reference' } }, signal)).rejects.toBeInstanceOf(CriError);
    expect(byId.info ?? {}).toEqual({});
    const { info = {} } = await images.imageStatus({ image: { image: imageRef }, verbose: true }, signal);
    for (const value of Object.values(info)) JSON.parse(value);
    const short = (image?.id ?? '').replace(/^sha256:/, '').slice(0, 12);
    const byShortId = await images.imageStatus({ image: { image: short } }, signal);
    expect(byShortId.image?.id).toBe(image?.id);
    const [digest] = image?.repoDigests ?? [];
    if (digest !== undefined) {
      expect((await images.imageStatus({ image: { image: digest } }, signal)).image?.id).toBe(image?.id);
    }
  });
}
