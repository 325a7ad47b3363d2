import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noRecorder } from '../../../base/call-recorder.js';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { criError, isCriCode, type CriRuntime, type v1 } from '../../../cri/index.js';
import { openRemoteRuntime } from '../../../cri/remote/index.js';
import { serveCri } from '../../../cri/serve/index.js';
import { loadService, serviceDefinition } from '../../../proto/load.js';
import { busyboxReference, Containerd, missingForContainerd } from '../../support/containerd.js';
import { eventually } from '../../support/daemon.js';
import { UnreliableSocket } from '../../support/unreliable-socket.js';

const { signal } = new AbortController();
const deps = { log: silentLogger, clock: systemClock, recorder: noRecorder };
const missing = missingForContainerd('2.x');
if (missing !== undefined) console.warn(`SKIPPED trouble with containerd: needs ${missing}`);

describe.skipIf(missing !== undefined)('trouble with containerd', () => {
  let containerd: Containerd;
  let pods = 0;

  beforeAll(async () => {
    containerd = await Containerd.open('2.x');
  });

  afterAll(async () => {
    await containerd?.[Symbol.asyncDispose]();
  });

  function podConfig(): v1.PodSandboxConfig {
    const name = `pod-${++pods}`;
    return {
      metadata: { name, namespace: 'trouble', uid: `uid-${name}`, attempt: 0 },
      logDirectory: join(containerd.folder, 'logs', name),
      labels: { pod: name },
      linux: { cgroupParent: `/${containerd.name}` },
    };
  }

  const containerConfig = (name = 'main'): v1.ContainerConfig => ({
    metadata: { name, attempt: 0 },
    image: { image: busyboxReference },
    command: ['sleep', '100000'],
    logPath: `${name}.log`,
  });

  async function runPod(runtime: CriRuntime['runtime']): Promise<{ podSandboxId: string; containerId: string }> {
    const sandboxConfig = podConfig();
    const { podSandboxId = '' } = await runtime.runPodSandbox({ config: sandboxConfig }, signal);
    const config = containerConfig();
    const { containerId = '' } = await runtime.createContainer({ podSandboxId, config, sandboxConfig }, signal);
    await runtime.startContainer({ containerId }, signal);
    return { podSandboxId, containerId };
  }

  async function through(proxy: UnreliableSocket, requestMs = 120_000): Promise<CriRuntime> {
    return await openRemoteRuntime({ endpoint: proxy.endpoint, timeouts: { requestMs } }, deps, signal);
  }

  test('the socket goes and comes back: calls fail as unavailable, then work; the pod is unharmed', async () => {
    await using proxy = await UnreliableSocket.open(join(containerd.folder, 'gone.sock'), containerd.socket);
    await using remote = await through(proxy);
    const { containerId } = await runPod(remote.runtime);
    const before = (await remote.runtime.containerStatus({ containerId }, signal)).status?.startedAt;
    await proxy.vanish();
    const lost = remote.runtime.listContainers({}, signal);
    await expect(lost).rejects.toSatisfy((err) => isCriCode(err, 'unavailable'));
    await proxy.listen();
    const after = await eventually(
      'the runtime is back',
      async () => (await remote.runtime.containerStatus({ containerId }, signal)).status,
    );
    expect(after).toMatchObject({ state: 'CONTAINER_RUNNING', startedAt: before });
  });

  test('a runtime that is away when the agent starts is found when it comes', async () => {
    const path = join(containerd.folder, 'late.sock');
    await using remote = await openRemoteRuntime({ endpoint: `unix://${path}` }, deps, signal);
    await expect(remote.runtime.version({}, signal)).rejects.toSatisfy((err) => isCriCode(err, 'unavailable'));
    await using _proxy = await UnreliableSocket.open(path, containerd.socket);
    expect((await eventually('it is found', () => remote.runtime.version({}, signal))).runtimeName).toBe('containerd');
  });

  test('a runtime that hangs: the deadline ends the call, an abort ends it at once', async () => {
    await using proxy = await UnreliableSocket.open(join(containerd.folder, 'mute.sock'), containerd.socket);
    await using remote = await through(proxy, 2000);
    await remote.runtime.version({}, signal);
    proxy.mute();
    await expect(remote.runtime.listContainers({}, signal)).rejects.toSatisfy((err) =>
      isCriCode(err, 'deadline-exceeded'),
    );
    const abort = new AbortController();
    const pull = remote.images.pullImage({ image: { image: 'localhost/none:1' } }, abort.signal);
    setTimeout(() => abort.abort(new Error('enough')), 50);
    await expect(pull).rejects.toThrow('enough');
    proxy.speak();
    await eventually('it speaks again', () => remote.runtime.version({}, signal));
  });

  test('the answer of a create is lost: the container is there once, and a second create says so', async () => {
    await using proxy = await UnreliableSocket.open(join(containerd.folder, 'lost.sock'), containerd.socket);
    await using impatient = await through(proxy, 1500);
    await using direct = await containerd.connect();
    const sandboxConfig = podConfig();
    const { podSandboxId = '' } = await direct.runtime.runPodSandbox({ config: sandboxConfig }, signal);
    const request = { podSandboxId, config: containerConfig(), sandboxConfig };
    proxy.mute();
    const words = `^CreateContainer of container main in sandbox ${podSandboxId.slice(0, 13)}: no answer within 1\\.\\d s from unix:`;
    await expect(impatient.runtime.createContainer(request, signal)).rejects.toMatchObject({
      failure: { code: 'deadline-exceeded' },
      message: expect.stringMatching(words) as string,
    });
    const list = async (): Promise<readonly v1.Container[]> =>
      (await direct.runtime.listContainers({ filter: { podSandboxId } }, signal)).containers ?? [];
    const [found] = await eventually('it is listed', async () => {
      const containers = await list();
      return containers.length > 0 && containers;
    });
    await expect(direct.runtime.createContainer(request, signal)).rejects.toSatisfy((err) =>
      isCriCode(err, 'already-exists'),
    );
    expect(await list()).toHaveLength(1);
    await direct.runtime.startContainer({ containerId: found?.id }, signal);
  });

  test('containerd is killed in the middle of a burst: all pods are there once at the end, old ones unharmed', async () => {
    await using remote = await containerd.connect();
    const old = await runPod(remote.runtime);
    const events: string[] = [];
    const watching = watchEvents(remote, (event) => events.push(event.containerId ?? ''));
    watching.catch(() => {});
    const configs = Array.from({ length: 6 }, () => podConfig());
    const burst = configs.map((config) => converge(remote, config));
    await eventually(
      'some are there',
      async () => ((await remote.runtime.listPodSandbox({}, signal)).items ?? []).length > 3,
    );
    await containerd.kill();
    await expect(watching).rejects.toSatisfy((err) => isCriCode(err, 'unavailable'));
    await containerd.start();
    await Promise.all(burst);
    const running = await remote.runtime.listContainers({ filter: { state: { state: 'CONTAINER_RUNNING' } } }, signal);
    for (const config of configs) {
      const ready = await remote.runtime.listPodSandbox(
        { filter: { labelSelector: { ...config.labels }, state: { state: 'SANDBOX_READY' } } },
        signal,
      );
      expect(ready.items).toHaveLength(1);
      expect(running.containers?.filter((item) => item.podSandboxId === ready.items?.[0]?.id)).toHaveLength(1);
    }
    expect(running.containers?.map(({ id }) => id)).toContain(old.containerId);
    expect(events.length).toBeGreaterThan(0);
  });

  /** What an agent does: look, do what is missing, look again. */
  async function converge({ runtime }: CriRuntime, config: v1.PodSandboxConfig): Promise<void> {
    await eventually(
      `pod ${config.metadata?.name ?? ''} runs`,
      async () => {
        const filter = { labelSelector: { ...config.labels } };
        const { items = [] } = await runtime.listPodSandbox({ filter }, signal);
        const ready = items.find(({ state }) => state === 'SANDBOX_READY');
        if (ready === undefined) {
          const attempt = items.reduce((most, item) => Math.max(most, (item.metadata?.attempt ?? 0) + 1), 0);
          await runtime.runPodSandbox({ config: { ...config, metadata: { ...config.metadata, attempt } } }, signal);
          return false;
        }
        const podSandboxId = ready.id ?? '';
        const { containers = [] } = await runtime.listContainers({ filter: { podSandboxId } }, signal);
        const [container] = containers;
        if (container === undefined) {
          await runtime.createContainer({ podSandboxId, config: containerConfig(), sandboxConfig: config }, signal);
          return false;
        }
        if (container.state === 'CONTAINER_CREATED')
          await runtime.startContainer({ containerId: container.id }, signal);
        return container.state === 'CONTAINER_RUNNING';
      },
      60_000,
    );
  }
});

async function watchEvents(remote: CriRuntime, take: (event: v1.ContainerEventResponse) => void): Promise<void> {
  for await (const event of remote.runtime.containerEvents(signal)) take(event);
}

describe('answers that are too large for one message', () => {
  const many = Array.from({ length: 20_000 }, (_, index) => ({
    id: `container-${index}`,
    labels: { filler: 'x'.repeat(1000) },
    metadata: { name: 'c', attempt: 0 },
  }));

  async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
    const path = await mkdtemp(join(tmpdir(), 'brt-large-'));
    return { path, [Symbol.asyncDispose]: async () => rm(path, { recursive: true, force: true }) };
  }

  test('come in pieces where the runtime can send them so', async () => {
    await using work = await folder();
    const runtime = { runtime: { listContainers: async () => ({ containers: many }) } } as unknown as CriRuntime;
    await using server = await serveCri(runtime, { socketPath: join(work.path, 's') }, { log: silentLogger }, signal);
    await using remote = await openRemoteRuntime({ endpoint: server.endpoint }, deps, signal);
    const { containers } = await remote.runtime.listContainers({}, signal);
    expect(containers).toHaveLength(many.length);
    expect(containers?.at(-1)?.id).toBe('container-19999');
  });

  test('every list has a stream that tells each item once and then ends, in messages that none is too long for', async () => {
    await using work = await folder();
    const items = Array.from({ length: 30 }, (_, index) => ({
      id: `item-${index}`,
      podSandboxId: `item-${index}`,
      attributes: { id: `item-${index}` },
      annotations: { filler: 'x'.repeat(1_000_000) },
    }));
    const fake = {
      runtime: {
        listPodSandbox: async () => ({ items }),
        listContainers: async () => ({ containers: items }),
        listContainerStats: async () => ({ stats: items }),
        listPodSandboxStats: async () => ({ stats: items }),
        listPodSandboxMetrics: async () => ({ podMetrics: items }),
      },
      images: { listImages: async () => ({ images: [] }) },
    } as unknown as CriRuntime;
    await using server = await serveCri(fake, { socketPath: join(work.path, 's') }, { log: silentLogger }, signal);
    const all = items.map(({ id }) => id);
    for (const [rpc, field, expected] of [
      ['streamPodSandboxes', 'podSandboxes', all],
      ['streamContainers', 'containers', all],
      ['streamContainerStats', 'containerStats', all],
      ['streamPodSandboxStats', 'podSandboxStats', all],
      ['streamPodSandboxMetrics', 'podSandboxMetrics', all],
      ['streamImages', 'images', []],
    ] as const) {
      const messages = await readStream(server.endpoint, rpc);
      const lists = messages.map((message) => message[field] as readonly Listed[]);
      expect(
        lists.flat().map(({ id, podSandboxId, attributes }) => id ?? podSandboxId ?? attributes?.id),
        rpc,
      ).toEqual(expected);
      expect(
        lists.every((list) => list.length > 0),
        rpc,
      ).toBe(true);
    }
  });

  test('fail with what to do about it where it cannot', async () => {
    await using work = await folder();
    const path = join(work.path, 's');
    const server = new Server();
    server.addService(serviceDefinition('cri-v1', 'runtime.v1.RuntimeService'), {
      listContainers: (_call: unknown, reply: (err: null, value: unknown) => void) => reply(null, { containers: many }),
    });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve()));
    });
    try {
      // Version is not there either: this is how a server without CRI v1 answers.
      const refused = openRemoteRuntime({ endpoint: `unix://${path}` }, deps, signal);
      await expect(refused).rejects.toThrow('does not speak CRI v1');
    } finally {
      server.forceShutdown();
    }
    const old = new Server();
    old.addService(serviceDefinition('cri-v1', 'runtime.v1.RuntimeService'), {
      version: (_call: unknown, reply: (err: null, value: unknown) => void) => reply(null, { runtimeName: 'old' }),
      listContainers: (_call: unknown, reply: (err: null, value: unknown) => void) => reply(null, { containers: many }),
    });
    await new Promise<void>((resolve, reject) => {
      old.bindAsync(`unix:${path}2`, ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve()));
    });
    try {
      await using remote = await openRemoteRuntime({ endpoint: `unix://${path}2` }, deps, signal);
      const listing = remote.runtime.listContainers({}, signal);
      await expect(listing).rejects.toThrow('cannot send it in pieces');
      await expect(listing).rejects.toSatisfy((err) => isCriCode(err, 'resource-exhausted'));
    } finally {
      old.forceShutdown();
    }
  });

  test('failures keep their code and pull reason across the wire', async () => {
    await using work = await folder();
    const failing = {
      runtime: { version: async () => Promise.reject(criError('failed-precondition', 'not now')) },
      images: {
        pullImage: async () => {
          const err = criError('unavailable', 'pull image x: no route');
          throw Object.assign(err, { failure: { code: 'unavailable', pullReason: 'RegistryUnavailable' } });
        },
      },
    } as unknown as CriRuntime;
    await using server = await serveCri(failing, { socketPath: join(work.path, 's') }, { log: silentLogger }, signal);
    await using remote = await openRemoteRuntime({ endpoint: server.endpoint }, deps, signal);
    await expect(remote.runtime.version({}, signal)).rejects.toMatchObject({
      failure: { code: 'failed-precondition' },
    });
    await expect(remote.images.pullImage({ image: { image: 'x' } }, signal)).rejects.toMatchObject({
      failure: { code: 'unavailable', pullReason: 'RegistryUnavailable' },
    });
  });
});

interface Listed {
  readonly id?: string;
  readonly podSandboxId?: string;
  readonly attributes?: { readonly id: string } | null;
}

/** The bare call of a stream, with the message size of the kubelet. */
async function readStream(endpoint: string, rpc: string): Promise<Record<string, unknown>[]> {
  const service = rpc === 'streamImages' ? 'ImageService' : 'RuntimeService';
  const Client = loadService('cri-v1', `runtime.v1.${service}`);
  const client = new Client(endpoint, credentials.createInsecure(), {
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
  });
  try {
    const call = client[rpc] as unknown as (request: object) => AsyncIterable<Record<string, unknown>>;
    const messages: Record<string, unknown>[] = [];
    for await (const message of call.call(client, {})) messages.push(message);
    return messages;
  } finally {
    client.close();
  }
}
