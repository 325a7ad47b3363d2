import { readdir, readFile, rename } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noRecorder } from '../../../base/call-recorder.js';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { runProgram } from '../../../base/run-program.js';
import { openDockerRuntime } from '../../../cri/docker/index.js';
import { CriError, isCriCode, type CriRuntime, type v1 } from '../../../cri/index.js';
import { StateKeepingNetwork } from '../state-keeping-network.js';
import { busyboxReference } from '../../support/cri-daemon.js';
import { eventually } from '../../support/daemon.js';
import { Dockerd, missingForDocker } from '../../support/dockerd.js';
import { hostProgram } from '../../support/host-program.js';
import { login, TestRegistry } from '../../support/test-registry.js';

const { signal } = new AbortController();
const missing = missingForDocker();
if (missing !== undefined) console.warn(`SKIPPED Docker runtime: needs ${missing}`);

describe.skipIf(missing !== undefined)('pods in Docker', () => {
  let dockerd: Dockerd;
  let network: StateKeepingNetwork;
  let docker: CriRuntime;
  let pods = 0;

  beforeAll(async () => {
    dockerd = await Dockerd.open();
    network = new StateKeepingNetwork(join(dockerd.folder, 'network'));
    docker = await dockerd.connect(network);
  });

  afterAll(async () => {
    await docker?.[Symbol.asyncDispose]();
    await dockerd?.[Symbol.asyncDispose]();
  });

  function podConfig(): v1.PodSandboxConfig {
    const name = `pod-${++pods}`;
    return {
      metadata: { name, namespace: 'test', uid: `uid-${name}`, attempt: 0 },
      logDirectory: join(dockerd.folder, 'logs', name),
      labels: { pod: name },
      portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' }, { containerPort: 81 }],
      linux: { cgroupParent: `/${dockerd.name}` },
    };
  }

  async function start(
    command: readonly string[],
    overrides: Partial<v1.ContainerConfig> = {},
  ): Promise<{ podSandboxId: string; containerId: string; log: string }> {
    const sandboxConfig = podConfig();
    const { podSandboxId = '' } = await docker.runtime.runPodSandbox({ config: sandboxConfig }, signal);
    const config = {
      metadata: { name: 'main', attempt: 0 },
      image: { image: busyboxReference },
      command,
      logPath: 'main/0.log',
      ...overrides,
    };
    const { containerId = '' } = await docker.runtime.createContainer({ podSandboxId, config, sandboxConfig }, signal);
    await docker.runtime.startContainer({ containerId }, signal);
    return { podSandboxId, containerId, log: join(sandboxConfig.logDirectory ?? '', 'main/0.log') };
  }

  const reconnect = async (): Promise<void> => {
    await docker[Symbol.asyncDispose]();
    docker = await dockerd.connect(network);
  };

  const numbers = (text: string): number[] => [...text.matchAll(/ F line (\d+)$/gm)].map((match) => Number(match[1]));

  test('names, labels and the network request are what tools and plugins look for', async () => {
    const { podSandboxId, containerId } = await start(['sleep', '1000']);
    const names = await dockerd.docker('ps', '--format', '{{.Names}}', '--filter', `id=${containerId}`);
    expect(names.trim()).toMatch(/^k8s_main_pod-\d+_test_uid-pod-\d+_0$/);
    const request = network.requests.find(({ sandboxId }) => sandboxId === podSandboxId);
    expect(request).toMatchObject({
      pod: { namespace: 'test' },
      portMappings: [{ protocol: 'tcp', containerPort: 80, hostPort: 8080 }],
    });
    expect(request?.portMappings).toHaveLength(1);
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
    expect(await network.attached()).not.toContain(podSandboxId);
  });

  test('a pod whose names are as long as names go is one like any other; one that Docker has no name for leaves nothing', async () => {
    const metadata = { name: 'p'.repeat(253), namespace: 'n'.repeat(63), uid: 'u'.repeat(36), attempt: 0 };
    const folder = join(dockerd.folder, 'berth/sandboxes');
    const { podSandboxId } = await docker.runtime.runPodSandbox({ config: { ...podConfig(), metadata } }, signal);
    const { status } = await docker.runtime.podSandboxStatus({ podSandboxId }, signal);
    expect(status).toMatchObject({ state: 'SANDBOX_READY', metadata });
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
    const before = await readdir(folder);
    const seccomp = { profileType: 'Localhost', localhostRef: '/no/such/profile' } as const;
    const linux = { securityContext: { seccomp } };
    for (const wrong of [{ metadata: { ...metadata, name: '/../elsewhere' } }, { linux }]) {
      const refused = docker.runtime.runPodSandbox({ config: { ...podConfig(), ...wrong } }, signal);
      await expect(refused).rejects.toBeInstanceOf(CriError);
    }
    expect(await readdir(folder)).toEqual(before);
  });

  test('the healthcheck of an image is not run, as with the other runtimes', async () => {
    const made = (await dockerd.docker('create', busyboxReference)).trim();
    await dockerd.docker('commit', '--change', 'HEALTHCHECK CMD false', made, 'localhost/checked:1');
    await dockerd.docker('rm', made);
    const image = { image: 'localhost/checked:1' };
    const { podSandboxId, containerId } = await start(['sleep', '1000'], { image });
    const health = await dockerd.docker('inspect', '--format', '{{json .State.Health}}', containerId);
    expect(health.trim()).toBe('null');
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
    await docker.images.removeImage({ image }, signal);
  });

  test.skipIf(!existsSync('/proc/net/if_inet6'))('the loopback of a pod has both its addresses', async () => {
    const { podSandboxId, containerId } = await start(['sleep', '1000']);
    const cmd = ['grep', '-c', '^00000000000000000000000000000001 .* lo$', '/proc/net/if_inet6'];
    const { stdout } = await docker.runtime.execSync({ containerId, cmd, timeout: 60 }, signal);
    expect(Buffer.from(stdout ?? []).toString()).toBe('1\n');
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
  });

  test('a network that refuses leaves no sandbox', async () => {
    network.failNextAttach = true;
    const config = podConfig();
    await expect(docker.runtime.runPodSandbox({ config }, signal)).rejects.toThrow('attach refused');
    const { items } = await docker.runtime.listPodSandbox({ filter: { labelSelector: { ...config.labels } } }, signal);
    expect(items).toEqual([]);
    expect(await network.attached()).toEqual([]);
  });

  test('logs: no line is lost or written twice over restarts of the agent, rotations and the end', async () => {
    const script = 'i=0; until test -e /enough; do i=$((i+1)); echo line $i; [ $((i % 100)) = 0 ] && sleep 0.05; done';
    const { podSandboxId, containerId, log } = await start(['sh', '-c', script]);
    const last = async (): Promise<number> => numbers(await readFile(log, 'utf8')).at(-1) ?? 0;
    await eventually('some lines', async () => (await last()) > 100);
    await reconnect();
    const soFar = await last();
    await eventually('more lines', async () => (await last()) > soFar + 500);
    await rename(log, `${log}.1`);
    await docker.runtime.reopenContainerLog({ containerId }, signal);
    await reconnect();
    await docker.runtime.execSync({ containerId, cmd: ['touch', '/enough'], timeout: 60 }, signal);
    const status = await eventually('it ends', async () => {
      const { status } = await docker.runtime.containerStatus({ containerId }, signal);
      return status?.state === 'CONTAINER_EXITED' && status;
    });
    expect(status.exitCode).toBe(0);
    const all = numbers((await readFile(`${log}.1`, 'utf8')) + (await readFile(log, 'utf8')));
    const said = /line (\d+)\s*$/.exec(await dockerd.docker('logs', '--tail', '1', containerId))?.[1];
    expect(all).toEqual(Array.from({ length: Number(said) }, (_, index) => index + 1));
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
  });

  test('a command that ends its container ends too, whichever end Docker hears of first', async () => {
    const { podSandboxId } = await start(['sleep', '1000']);
    const { items = [] } = await docker.runtime.listPodSandbox({ filter: { id: podSandboxId } }, signal);
    const sandboxConfig = { metadata: items[0]?.metadata };
    const attempt = async (name: string): Promise<string> => {
      const image = { image: busyboxReference };
      const command = ['sh', '-c', 'until test -e /end; do sleep 0.01; done'];
      const config = { metadata: { name, attempt: 0 }, image, command };
      const { containerId } = await docker.runtime.createContainer({ podSandboxId, config, sandboxConfig }, signal);
      await docker.runtime.startContainer({ containerId }, signal);
      const cmd = ['sh', '-c', 'echo said; touch /end'];
      const { stdout } = await docker.runtime.execSync({ containerId, cmd, timeout: 60 }, signal);
      return Buffer.from(stdout ?? '').toString();
    };
    const names = Array.from({ length: 8 }, (_, index) => `short-${index}`);
    expect(await Promise.all(names.map(attempt))).toEqual(names.map(() => 'said\n'));
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
  });

  test('stop and remove, asked for by many at once: all succeed', async () => {
    const { podSandboxId, containerId } = await start(['sleep', '1000']);
    const { runtime } = docker;
    const times = [1, 2, 3, 4];
    await Promise.all(times.map(() => runtime.stopContainer({ containerId, timeout: 0 }, signal)));
    await Promise.all(times.map(() => runtime.removeContainer({ containerId }, signal)));
    await Promise.all(times.map(() => runtime.stopPodSandbox({ podSandboxId }, signal)));
    await Promise.all(times.map(() => runtime.removePodSandbox({ podSandboxId }, signal)));
    expect((await runtime.listPodSandbox({ filter: { id: podSandboxId } }, signal)).items).toEqual([]);
  });

  test('logs: a line longer than Docker takes at once comes in pieces; no newline at the end is told', async () => {
    const { podSandboxId, containerId, log } = await start([
      'sh',
      '-c',
      'head -c 40000 /dev/zero | tr "\\0" x; echo; printf end',
    ]);
    await eventually(
      'it ends',
      async () => (await docker.runtime.containerStatus({ containerId }, signal)).status?.state === 'CONTAINER_EXITED',
    );
    const lines = (await readFile(log, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' '));
    expect(lines.map(([, , tag]) => tag)).toEqual(['P', 'P', 'F', 'P']);
    expect(
      lines
        .slice(0, 3)
        .map((line) => line[3] ?? '')
        .join(''),
    ).toBe('x'.repeat(40_000));
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
  });

  test('statistics: what was written, what went over the network, and the sum of the pod', async () => {
    const script = 'head -c 3000000 /dev/zero > /data; echo written; exec sleep 1000';
    const { podSandboxId, containerId, log } = await start(['sh', '-c', script]);
    await eventually('it has written', async () => (await readFile(log, 'utf8')).includes('written'));
    const pid = await dockerd.docker('inspect', '--format', '{{.State.Pid}}', podSandboxId);
    const inside = `--net=/proc/${pid.trim()}/ns/net`;
    await hostProgram(['nsenter', inside, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'peer']);
    const layer = await eventually(
      'the layer is counted',
      async () => (await docker.runtime.containerStats({ containerId }, signal)).stats?.writableLayer ?? undefined,
    );
    expect(layer.usedBytes?.value).toBeGreaterThanOrEqual(3_000_000);
    expect(layer.usedBytes?.value).toBeLessThan(4_000_000);
    expect(layer.fsId?.mountpoint).toBe(`${dockerd.folder}/data`);
    const { stats } = await docker.runtime.podSandboxStats({ podSandboxId }, signal);
    expect(stats?.linux?.network?.defaultInterface).toMatchObject({ name: 'eth0', rxBytes: { value: 0 } });
    const own = stats?.linux?.containers?.[0]?.memory;
    expect(own?.rssBytes?.value).toBeGreaterThan(0);
    expect(stats?.linux?.memory?.rssBytes?.value).toBeGreaterThan(own?.rssBytes?.value ?? 0);
    // The sandbox's own are a shell and what it waits for.
    expect(stats?.linux?.process?.processCount?.value).toBeGreaterThanOrEqual(2);
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
  });

  test.each([
    ['those that were asked for', ['/proc/meminfo'], ['/proc/sys'], '2'],
    ['none at all, as procMount Unmasked asks', [], [], '0'],
  ])('masked and read-only paths: %s', async (_what, maskedPaths, readonlyPaths, expected) => {
    const count = ['sh', '-c', 'grep -c " /proc/" /proc/self/mounts'];
    const { podSandboxId, log } = await start(count, { linux: { securityContext: { maskedPaths, readonlyPaths } } });
    const line = await eventually('it says so', async () => / F (\d+)$/m.exec(await readFile(log, 'utf8'))?.[1]);
    expect(line).toBe(expected);
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
  });

  test("a folder that holds Docker's own files can be mounted, as / is by many a DaemonSet", async () => {
    const mounts = [{ hostPath: dockerd.folder, containerPath: '/host', readonly: true }];
    const { podSandboxId, log } = await start(['sh', '-c', 'ls /host; ls /host/data | wc -l'], { mounts });
    await eventually('it is seen', async () => / F docker\.sock$/m.test(await readFile(log, 'utf8')));
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
  });

  const hugetlb = existsSync('/sys/fs/cgroup/cgroup.controllers')
    ? { folder: '/sys/fs/cgroup', file: 'hugetlb.2MB.max' }
    : { folder: '/sys/fs/cgroup/hugetlb', file: 'hugetlb.2MB.limit_in_bytes' };
  const noHugepages = !existsSync('/sys/kernel/mm/hugepages/hugepages-2048kB') || !existsSync(hugetlb.folder);
  if (noHugepages) console.warn('SKIPPED huge pages in Docker: this machine does not count them');
  test.skipIf(noHugepages)('huge pages: limited from the start, and anew while it runs', async () => {
    const hugepageLimits = [{ pageSize: '2MB', limit: 4 * 1024 * 1024 }];
    const linux = { resources: { hugepageLimits } };
    const { podSandboxId, containerId } = await start(['sleep', '1000'], { linux });
    const limit = async (): Promise<string> =>
      (await readFile(join(hugetlb.folder, dockerd.name, containerId, hugetlb.file), 'utf8')).trim();
    expect(await limit()).toBe('4194304');
    const asked = { hugepageLimits: [{ pageSize: '2MB', limit: 2 * 1024 * 1024 }] };
    await docker.runtime.updateContainerResources({ containerId, linux: asked }, signal);
    expect(await limit()).toBe('2097152');
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
    const unknown = { resources: { hugepageLimits: [{ pageSize: '3MB', limit: 1 }] } };
    await expect(start(['sleep', '1000'], { linux: unknown })).rejects.toThrow(/huge pages .* 3MB/);
    const { containers = [] } = await docker.runtime.listContainers({}, signal);
    expect(containers.filter(({ state }) => state === 'CONTAINER_RUNNING')).toEqual([]);
    for (const { podSandboxId: left } of containers)
      await docker.runtime.removePodSandbox({ podSandboxId: left }, signal);
  });

  test('Docker is killed and comes back: calls say so, pods are told as they are, new ones run', async () => {
    const { podSandboxId, containerId } = await start(['sleep', '100000']);
    const watching = (async () => {
      for await (const _event of docker.runtime.containerEvents(signal));
    })();
    watching.catch(() => {});
    await dockerd.stop('SIGKILL');
    await expect(docker.runtime.listContainers({}, signal)).rejects.toSatisfy((err) => isCriCode(err, 'unavailable'));
    await expect(watching).rejects.toSatisfy((err) => isCriCode(err, 'unavailable'));
    await dockerd.start();
    const { status } = await docker.runtime.containerStatus({ containerId }, signal);
    expect(status?.state).toBe('CONTAINER_EXITED');
    const sandbox = await docker.runtime.podSandboxStatus({ podSandboxId }, signal);
    expect(sandbox.status?.state).toBe('SANDBOX_NOTREADY');
    await docker.runtime.removePodSandbox({ podSandboxId }, signal);
    const next = await start(['sleep', '100000']);
    await docker.runtime.removePodSandbox({ podSandboxId: next.podSandboxId }, signal);
    expect(await network.attached()).toEqual([]);
  });

  test('a pull from a registry that is not there says so', async () => {
    const pull = docker.images.pullImage({ image: { image: '127.0.0.1:9/none:1' } }, signal);
    await expect(pull).rejects.toMatchObject({ failure: { pullReason: 'RegistryUnavailable' } });
    expect((await docker.images.imageStatus({ image: { image: 'none:1' } }, signal)).image).toBeUndefined();
  });

  test('a pull needs the credentials of its registry; what came is found by tag and by digest', async () => {
    await using registry = await TestRegistry.open({ auth: true });
    const archive = join(dockerd.folder, 'busybox.tar');
    const digest = await registry.push(`docker-archive:${archive}`, 'team/app:1');
    const image = { image: `${registry.host}/team/app:1` };
    const refused = docker.images.pullImage({ image }, signal);
    await expect(refused).rejects.toSatisfy((err) => isCriCode(err, 'permission-denied'));
    const { username, password } = login;
    const auth = Buffer.from(`${username}:${password}`).toString('base64');
    for (const credentials of [{ username, password }, { auth }]) {
      const words: string[] = [];
      const { imageRef } = await docker.images.pullImage({ image, auth: credentials }, signal, ({ text }) =>
        words.push(text),
      );
      expect(words.length).toBeGreaterThan(0);
      const byDigest = { image: `${registry.host}/team/app@${digest}` };
      for (const name of [image, byDigest]) {
        const found = await docker.images.imageStatus({ image: name }, signal);
        expect(found.image).toMatchObject({
          id: imageRef,
          repoTags: expect.arrayContaining([image.image]) as string[],
        });
        expect(found.image?.repoDigests).toContain(byDigest.image);
      }
      await docker.images.pullImage({ image: byDigest, auth: credentials }, signal);
      // By force: with the last tag of a repository Docker may take its digest away too.
      await dockerd.docker('rmi', '--force', image.image, byDigest.image);
    }
  });

  test('images: found by name and id, removed, removed again', async () => {
    const found = await docker.images.imageStatus({ image: { image: busyboxReference } }, signal);
    const id = found.image?.id ?? '';
    expect((await docker.images.imageStatus({ image: { image: id } }, signal)).image?.id).toBe(id);
    const { images = [] } = await docker.images.listImages({}, signal);
    expect(images.filter(({ pinned }) => pinned)).toHaveLength(1);
    await dockerd.docker('tag', busyboxReference, 'localhost/other:1');
    await docker.images.removeImage({ image: { image: 'localhost/never:1' } }, signal);
    const remove = (): Promise<unknown> => docker.images.removeImage({ image: { image: id } }, signal);
    await Promise.all([remove(), remove(), remove()]);
    expect((await docker.images.imageStatus({ image: { image: id } }, signal)).image).toBeUndefined();
    expect((await docker.images.imageFsInfo({}, signal)).imageFilesystems?.[0]?.fsId?.mountpoint).toBe(
      `${dockerd.folder}/data`,
    );
  });
});

describe('what is not Docker 20.10', () => {
  async function open(socketPath: string): Promise<unknown> {
    const network = new StateKeepingNetwork(join(tmpdir(), 'never-used'));
    const deps = { run: runProgram, log: silentLogger, clock: systemClock, recorder: noRecorder, network };
    return await openDockerRuntime({ socketPath, stateDir: '/nonexistent' }, deps, signal);
  }

  test('an engine that is too old is refused with its version', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'brt-old-'));
    const server = createServer((_request, response) => {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ Version: '19.03.15', ApiVersion: '1.40', MinAPIVersion: '1.12' }));
    });
    await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
    try {
      await expect(open(join(folder, 's'))).rejects.toThrow(/19\.03\.15 speaks API 1\.40; 1\.41 .* is needed/);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    }
  });

  test('no engine at all is unavailable', async () => {
    await expect(open('/nonexistent/docker.sock')).rejects.toSatisfy((err) => isCriCode(err, 'unavailable'));
  });
});
