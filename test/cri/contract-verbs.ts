import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { CriError, isCriCode, type CriCode, type ImageService, type RuntimeService, type v1 } from '../../cri/index.js';
import type { StreamingService } from '../../cri/index.js';

/** What the cases below need of the suite. */
export interface VerbCases {
  readonly subject: () => {
    readonly runtime: RuntimeService;
    readonly streaming: StreamingService;
    readonly images?: ImageService | undefined;
    readonly imageRef: string;
    readonly cannot?: { readonly 'image-filter'?: string; readonly 'refuse-unstarted'?: string } | undefined;
  };
  readonly runPod: () => Promise<VerbPod>;
}

export interface VerbPod extends AsyncDisposable {
  readonly id: string;
  readonly config: v1.PodSandboxConfig;
  create(name: string, command: readonly string[]): Promise<string>;
  start(name: string, command: readonly string[]): Promise<string>;
}

const { signal } = new AbortController();
const absent = 'f'.repeat(64);
const sleeper = ['sleep', '100000'];
const code = (expected: CriCode) => (err: unknown) => isCriCode(err, expected);

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
export function verbCases({ subject, runPod }: VerbCases): void {
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

  test('containers: one that was never started is stopped and removed; one that ended does not start again', async () => {
    const { runtime } = subject();
    await using pod = await runPod();
    const created = await pod.create('created', sleeper);
    await runtime.stopContainer({ containerId: created, timeout: 0 }, signal);
    await runtime.removeContainer({ containerId: created }, signal);
    const ended = await pod.start('ended', sleeper);
    await runtime.stopContainer({ containerId: ended, timeout: 0 }, signal);
    await expect(runtime.startContainer({ containerId: ended }, signal)).rejects.toBeInstanceOf(CriError);
    expect((await runtime.containerStatus({ containerId: ended }, signal)).status?.state).toBe('CONTAINER_EXITED');
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

  test('a log is reopened only while its container runs', async (context) => {
    const { runtime, cannot } = subject();
    if (cannot?.['refuse-unstarted'] !== undefined) return context.skip(cannot['refuse-unstarted']);
    await using pod = await runPod();
    const containerId = await pod.create('main', sleeper);
    await expect(runtime.reopenContainerLog({ containerId }, signal)).rejects.toBeInstanceOf(CriError);
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
  });
}
