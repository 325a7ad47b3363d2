import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { CriRuntime } from '../../../cri/index.js';
import { TestRegistry } from '../../support/test-registry.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { BerthCriServe } from '../../support/berth-cri-serve.js';
import { eventually } from '../../support/daemon.js';
import { missingForKubelet, StandaloneKubelet, type KubeletPod } from '../../support/standalone-kubelet.js';
import { missingComponents } from '../embedded/runtime-world.js';

const { signal } = new AbortController();
const components = missingComponents();
const missing = missingForKubelet() ?? (components === '' ? undefined : components);
if (missing !== undefined) console.warn(`SKIPPED a kubelet on berth cri serve: needs ${missing}`);

const manifest = (image: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web' },
  spec: {
    terminationGracePeriodSeconds: 1,
    initContainers: [
      { name: 'init', image, command: ['sh', '-c', 'echo made > /data/by-init'], volumeMounts: [volumeMount] },
    ],
    containers: [
      {
        name: 'main',
        image,
        command: ['sh', '-c', 'trap "exit 0" TERM; cat /data/by-init; while true; do sleep 0.1; done'],
        volumeMounts: [volumeMount],
        lifecycle: { postStart: { exec: { command: ['touch', '/data/by-hook'] } } },
        readinessProbe: { exec: { command: ['cat', '/data/by-hook'] }, periodSeconds: 1 },
        resources: { limits: { memory: '64Mi' } },
      },
      {
        name: 'restarts',
        image,
        command: ['sh', '-c', 'test -e /data/again && exec sleep 100000; touch /data/again'],
        volumeMounts: [volumeMount],
      },
    ],
    volumes: [{ name: 'data', emptyDir: {} }],
  },
});
const volumeMount = { name: 'data', mountPath: '/data' };

const isReady = ({ status }: KubeletPod): boolean =>
  status.conditions?.some(({ type, status: met }) => type === 'Ready' && met === 'True') === true;

describe.skipIf(missing !== undefined)("Kubernetes' own kubelet on berth cri serve", () => {
  let registry: TestRegistry;
  let served: BerthCriServe;
  let kubelet: StandaloneKubelet;
  let runtime: CriRuntime;

  beforeAll(async () => {
    registry = await TestRegistry.open();
    served = await BerthCriServe.open();
    runtime = await served.connect();
    const archive = join(served.folder, 'app.tar');
    await makeBusyboxImage({ path: archive, format: 'oci-archive' });
    await registry.push(`oci-archive:${archive}`, 'team/app:1');
    const folder = join(served.folder, 'kubelet');
    await mkdir(folder);
    kubelet = await StandaloneKubelet.open({
      folder,
      runtimeEndpoint: served.endpoint,
      cgroupRoot: `/${served.name}`,
      podLogsDir: join(served.folder, 'logs'),
    });
  });

  afterAll(async () => {
    await kubelet?.[Symbol.asyncDispose]();
    await runtime?.[Symbol.asyncDispose]();
    await served?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
  });

  const web = async (holds: (pod: KubeletPod) => boolean): Promise<KubeletPod> => {
    try {
      return await eventually('the kubelet says so of its pod', async () => {
        const { items } = await kubelet.pods();
        return items?.find((pod) => pod.metadata.name === 'web-alone' && holds(pod));
      });
    } catch (err) {
      throw new Error(`${JSON.stringify(await kubelet.pods())}\n${await kubelet.lastWords()}`, { cause: err });
    }
  };

  const running = async (): Promise<string[]> => {
    const state = { state: 'CONTAINER_RUNNING' } as const;
    const { containers = [] } = await runtime.runtime.listContainers({ filter: { state } }, signal);
    return containers.map(({ metadata }) => metadata?.name ?? '').toSorted();
  };

  test('a pod with all that a kubelet does: image, init, hook, probe, restart, exec; through a restart of the server; to its end', async () => {
    await writeFile(join(kubelet.manifests, 'web.yaml'), JSON.stringify(manifest(`${registry.host}/team/app:1`)));
    const restarted = ({ status }: KubeletPod): boolean =>
      status.containerStatuses?.some(({ restartCount }) => restartCount === 1) === true;
    const pod = await web((one) => isReady(one) && restarted(one));
    expect(pod.status.phase).toBe('Running');
    expect(await running()).toEqual(['main', 'restarts']);
    expect(await execIn(kubelet.execUrl('web-alone', 'main', ['cat', '/data/by-init']))).toBe('made\n');

    await served.kill();
    await served.start();
    const ids = (one: KubeletPod): unknown => one.status.containerStatuses?.map(({ containerID }) => containerID);
    await eventually('the kubelet asks the new server', async () => {
      const words = await execIn(kubelet.execUrl('web-alone', 'main', ['echo', 'still', 'here']));
      return words === 'still here\n';
    });
    expect(ids(await web(isReady))).toEqual(ids(pod));

    await rm(join(kubelet.manifests, 'web.yaml'));
    await eventually('nothing of it runs', async () => (await running()).length === 0);
    await eventually('its sandbox is stopped', async () => {
      const { items = [] } = await runtime.runtime.listPodSandbox({}, signal);
      return items.every(({ state }) => state === 'SANDBOX_NOTREADY');
    });
  });
});

/** What a command said, by the kubelet and the URL that the runtime gave it. */
async function execIn(url: string): Promise<string> {
  const socket = new WebSocket(url, 'v4.channel.k8s.io', { rejectUnauthorized: false });
  let stdout = '';
  socket.on('message', (message: Buffer) => {
    if (message[0] === 1) stdout += message.toString('utf8', 1);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('close', () => resolve());
    socket.once('error', reject);
  });
  return stdout;
}
