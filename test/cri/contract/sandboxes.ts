import { expect, test } from 'vitest';
import { CriError, type v1 } from '../../../cri/index.js';
import { code, signal, sleeper, type ContractCases } from './cases.js';

/** Pods: what is told of them, and their end. */
export function sandboxCases({ subject, newPod, runPod, status, ended }: ContractCases): void {
  test('status and list carry what was given', async () => {
    await using pod = await runPod();
    const { status } = await subject().runtime.podSandboxStatus({ podSandboxId: pod.id }, signal);
    const given = { id: pod.id, metadata: pod.config.metadata, state: 'SANDBOX_READY' };
    expect(status).toMatchObject({ ...given, labels: pod.config.labels, annotations: pod.config.annotations });
    expect(status?.createdAt).toBeGreaterThan(1e18);
    const { items } = await subject().runtime.listPodSandbox({ filter: { id: pod.id } }, signal);
    expect(items).toHaveLength(1);
    expect(items?.[0]).toMatchObject({ ...given, labels: pod.config.labels });
  });

  test('with the status comes that of every container, newest first, and when all of it was so', async (context) => {
    const { runtime, cannot } = subject();
    if (cannot?.['pod-containers'] !== undefined) return context.skip(cannot['pod-containers']);
    await using pod = await runPod();
    await using other = await runPod();
    await other.start('main', sleeper);
    const over = await pod.start('main', ['true']);
    await ended(over);
    const created = await pod.create('other', sleeper);
    const again = await pod.start('main', sleeper, { metadata: { name: 'main', attempt: 1 }, logPath: 'main_1.log' });
    const before = Date.now() * 1e6;
    const { timestamp = 0, containersStatuses = [] } = await runtime.podSandboxStatus({ podSandboxId: pod.id }, signal);
    expect(timestamp).toBeGreaterThanOrEqual(before);
    // The clock of this process has milliseconds.
    expect(timestamp).toBeLessThan((Date.now() + 1) * 1e6);
    const asked = await Promise.all([again, created, over].map(status));
    expect(asked.map(({ state }) => state)).toEqual(['CONTAINER_RUNNING', 'CONTAINER_CREATED', 'CONTAINER_EXITED']);
    if (cannot?.['pod-containers-order'] === undefined) expect(containersStatuses).toEqual(asked);
    else expect(new Set(containersStatuses)).toEqual(new Set(asked));
  });

  test('list filters by state, labels and a short id', async () => {
    await using one = await runPod();
    await using two = await runPod();
    await subject().runtime.stopPodSandbox({ podSandboxId: two.id }, signal);
    const ids = async (filter: v1.PodSandboxFilter): Promise<unknown[]> =>
      ((await subject().runtime.listPodSandbox({ filter }, signal)).items ?? []).map((item) => item.id);
    expect(await ids({ state: { state: 'SANDBOX_READY' }, labelSelector: { suite: 'contract' } })).toEqual([one.id]);
    expect(await ids({ state: { state: 'SANDBOX_NOTREADY' }, labelSelector: { suite: 'contract' } })).toEqual([two.id]);
    expect(await ids({ labelSelector: { pod: one.config.metadata?.name ?? '' } })).toEqual([one.id]);
    expect(await ids({ labelSelector: { pod: 'other' } })).toEqual([]);
    expect(await ids({ id: one.id.slice(0, 12) })).toEqual([one.id]);
  });

  test('the same metadata twice is refused, the next attempt is not', async () => {
    await using pod = await runPod();
    const again = subject().runtime.runPodSandbox({ config: pod.config }, signal);
    if (subject().cannot?.['refuse-taken-name'] === undefined) await expect(again).rejects.toBeInstanceOf(CriError);
    else expect((await again).podSandboxId).toBe(pod.id);
    const metadata = { ...pod.config.metadata, attempt: 1 };
    await using _next = await runPod({ metadata });
  });

  test('stop and remove of what is not there succeed, status is not-found', async () => {
    const podSandboxId = 'f'.repeat(64);
    await subject().runtime.stopPodSandbox({ podSandboxId }, signal);
    await subject().runtime.removePodSandbox({ podSandboxId }, signal);
    await expect(subject().runtime.podSandboxStatus({ podSandboxId }, signal)).rejects.toSatisfy(code('not-found'));
  });

  test('an unknown runtime handler is refused and leaves nothing', async () => {
    const pod = newPod();
    const request = { config: pod.config, runtimeHandler: 'no-such-handler' };
    await expect(subject().runtime.runPodSandbox(request, signal)).rejects.toThrow(/no-such-handler/);
    const { items } = await subject().runtime.listPodSandbox(
      { filter: { labelSelector: { pod: pod.config.metadata?.name ?? '' } } },
      signal,
    );
    expect(items ?? []).toEqual([]);
  });

  test('stop ends running containers, remove takes them away', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    await subject().runtime.stopPodSandbox({ podSandboxId: pod.id }, signal);
    expect((await status(containerId)).state).toBe('CONTAINER_EXITED');
    if (subject().cannot?.['refuse-create-in-stopped'] === undefined) {
      await expect(pod.create('late', sleeper)).rejects.toBeInstanceOf(CriError);
    }
    await subject().runtime.removePodSandbox({ podSandboxId: pod.id }, signal);
    await expect(status(containerId)).rejects.toSatisfy(code('not-found'));
  });
}
