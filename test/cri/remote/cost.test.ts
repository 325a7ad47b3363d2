import { join } from 'node:path';
import { describe, test } from 'vitest';
import type { v1 } from '../../../cri/index.js';
import { serviceDefinition } from '../../../proto/load.js';
import { busyboxReference, Containerd, missingForContainerd } from '../../support/containerd.js';
import { expectSpeed } from '../../support/speed.js';

const { signal } = new AbortController();

/** What the kubelet puts on containers, of ordinary length. */
function listedPods(count: number): { sandboxes: v1.PodSandbox[]; containers: v1.Container[] } {
  const pods = Array.from({ length: count }, (_, index) => {
    const labels = {
      'io.kubernetes.pod.name': `web-6d4cf56db6-${index}`,
      'io.kubernetes.pod.namespace': 'production',
      'io.kubernetes.pod.uid': `0b1c2d3e-4f50-6172-8394-a5b6c7d8${String(index).padStart(4, '0')}`,
      app: 'web',
      'pod-template-hash': '6d4cf56db6',
    };
    const id = String(index).padStart(64, 'a');
    const sandbox: v1.PodSandbox = {
      id,
      metadata: { name: `web-${index}`, namespace: 'production', uid: labels['io.kubernetes.pod.uid'], attempt: 0 },
      state: 'SANDBOX_READY',
      createdAt: 1_790_000_000_000_000_000,
      labels,
      annotations: { 'kubernetes.io/config.seen': '2026-01-01T00:00:00Z', 'kubernetes.io/config.source': 'api' },
    };
    const container: v1.Container = {
      id: String(index).padStart(64, 'b'),
      podSandboxId: id,
      metadata: { name: 'web', attempt: 0 },
      image: { image: 'sha256:1111111111111111111111111111111111111111111111111111111111111111' },
      imageRef: 'sha256:1111111111111111111111111111111111111111111111111111111111111111',
      state: 'CONTAINER_RUNNING',
      createdAt: 1_790_000_000_000_000_000,
      labels: { ...labels, 'io.kubernetes.container.name': 'web' },
      annotations: {
        'io.kubernetes.container.hash': '1a2b3c4d',
        'io.kubernetes.container.restartCount': '0',
        'io.kubernetes.container.terminationMessagePath': '/dev/termination-log',
        'io.kubernetes.container.terminationMessagePolicy': 'File',
        'io.kubernetes.pod.terminationGracePeriod': '30',
      },
    };
    return { sandbox, container };
  });
  return { sandboxes: pods.map(({ sandbox }) => sandbox), containers: pods.map(({ container }) => container) };
}

test('reading a list of 100 pods and their containers costs at most 5 ms', () => {
  const service = serviceDefinition('cri-v1', 'runtime.v1.RuntimeService');
  const { sandboxes, containers } = listedPods(100);
  const sandboxBytes = service['ListPodSandbox']?.responseSerialize({ items: sandboxes }) ?? Buffer.alloc(0);
  const containerBytes = service['ListContainers']?.responseSerialize({ containers }) ?? Buffer.alloc(0);
  const relist = (): void => {
    service['ListPodSandbox']?.responseDeserialize(sandboxBytes);
    service['ListContainers']?.responseDeserialize(containerBytes);
  };
  for (let i = 0; i < 20; i++) relist();
  const rounds = 50;
  const before = process.cpuUsage();
  for (let i = 0; i < rounds; i++) relist();
  const { user, system } = process.cpuUsage(before);
  const perRelistMs = (user + system) / 1000 / rounds;
  expectSpeed('relist of 100 pods, ms CPU to decode', perRelistMs, 5);
});

const missing = missingForContainerd('2.x');
if (missing !== undefined) console.warn(`SKIPPED cost of a pod on containerd: needs ${missing}`);

describe.skipIf(missing !== undefined)('on containerd', () => {
  test('the calls of one pod, from image to removal, cost less than the 20 ms CPU of the whole agent', async () => {
    await using containerd = await Containerd.open('2.x');
    await using remote = await containerd.connect();
    const { runtime, images } = remote;
    const life = async (name: string): Promise<void> => {
      const sandboxConfig: v1.PodSandboxConfig = {
        metadata: { name, namespace: 'cost', uid: `uid-${name}`, attempt: 0 },
        logDirectory: join(containerd.folder, 'logs', name),
        linux: { cgroupParent: `/${containerd.name}` },
      };
      await images.imageStatus({ image: { image: busyboxReference } }, signal);
      const { podSandboxId = '' } = await runtime.runPodSandbox({ config: sandboxConfig }, signal);
      await runtime.podSandboxStatus({ podSandboxId }, signal);
      const config = {
        metadata: { name: 'main', attempt: 0 },
        image: { image: busyboxReference },
        command: ['sleep', '1000'],
        logPath: 'main.log',
      };
      const { containerId } = await runtime.createContainer({ podSandboxId, config, sandboxConfig }, signal);
      await runtime.startContainer({ containerId }, signal);
      await runtime.containerStatus({ containerId }, signal);
      await runtime.containerStatus({ containerId }, signal);
      await runtime.stopContainer({ containerId, timeout: 0 }, signal);
      await runtime.stopPodSandbox({ podSandboxId }, signal);
      await runtime.removeContainer({ containerId }, signal);
      await runtime.removePodSandbox({ podSandboxId }, signal);
    };
    for (let i = 0; i < 5; i++) await life(`warm-${i}`);
    const pods = 20;
    const before = process.cpuUsage();
    for (let i = 0; i < pods; i++) await life(`pod-${i}`);
    const { user, system } = process.cpuUsage(before);
    const perPodMs = (user + system) / 1000 / pods;
    expectSpeed('11 calls of one pod, ms CPU', perPodMs, 20);
  });
});
