import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { FifoLimit } from '../../base/fifo-limit.js';
import type { CriRuntime, v1 } from '../../cri/index.js';
import { removeCgroups } from '../support/containerd.js';
import type { Sample } from './measure.js';

/** What one burst cost this process, which asks and does nothing else. */
export interface BareSample extends Sample {
  readonly cpuMsPerPod: number;
}

const never = new AbortController().signal;

export interface BareBurstOptions {
  readonly count: number;
  readonly image: string;
  readonly concurrency: number;
}

/**
 * The CRI calls of the burst's pods and nothing else: run the sandbox, create, start, and ask how they are, with the configurations the
 * agent would send. What a runtime needs for the same pods whoever calls it.
 */
export async function runBareBurst({ runtime, images }: CriRuntime, options: BareBurstOptions): Promise<BareSample> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-bare-'));
  const gate = new FifoLimit(options.concurrency);
  const sandboxes: string[] = [];
  const readyMs: number[] = [];
  try {
    const { image } = await images.imageStatus({ image: { image: options.image } }, never);
    const imageId = image?.id ?? options.image;
    const started = performance.now();
    const cpuBefore = process.cpuUsage();
    await Promise.all(
      Array.from({ length: options.count }, (_, index) =>
        gate.run(async () => {
          sandboxes.push(await startPod(runtime, folder, index, { image: imageId, userSpecifiedImage: options.image }));
          readyMs.push(performance.now() - started);
        }, never),
      ),
    );
    const { user, system } = process.cpuUsage(cpuBefore);
    const deleteStarted = performance.now();
    await Promise.all(sandboxes.map((id) => gate.run(() => endPod(runtime, id), never)));
    return {
      readyMs: readyMs.sort((a, b) => a - b),
      deleteMs: performance.now() - deleteStarted,
      cpuMsPerPod: (user + system) / 1000 / options.count,
    };
  } finally {
    await removeCgroups(basename(folder));
    await rm(folder, { recursive: true, force: true });
  }
}

async function startPod(
  runtime: CriRuntime['runtime'],
  folder: string,
  index: number,
  image: v1.ImageSpec,
): Promise<string> {
  const own = join(folder, String(index));
  await mkdir(own);
  for (const name of ['hosts', 'last-words']) await writeFile(join(own, name), '');
  const sandboxConfig = sandbox(`bare-${index}`, basename(folder), join(own, 'logs'));
  const { podSandboxId = '' } = await runtime.runPodSandbox({ config: sandboxConfig }, never);
  await runtime.podSandboxStatus({ podSandboxId }, never);
  const config = container(image, own, sandboxConfig.labels ?? {});
  const { containerId = '' } = await runtime.createContainer({ podSandboxId, config, sandboxConfig }, never);
  await runtime.startContainer({ containerId }, never);
  await runtime.containerStatus({ containerId }, never);
  return podSandboxId;
}

async function endPod(runtime: CriRuntime['runtime'], podSandboxId: string): Promise<void> {
  const { containers = [] } = await runtime.listContainers({ filter: { podSandboxId } }, never);
  for (const { id } of containers) await runtime.stopContainer({ containerId: id, timeout: 0 }, never);
  await runtime.stopPodSandbox({ podSandboxId }, never);
  for (const { id } of containers) await runtime.removeContainer({ containerId: id }, never);
  await runtime.removePodSandbox({ podSandboxId }, never);
}

const namespaceOptions: v1.NamespaceOption = { network: 'POD', ipc: 'POD', pid: 'CONTAINER' };

function sandbox(name: string, cgroup: string, logDirectory: string): v1.PodSandboxConfig {
  const uid = randomUUID();
  return {
    metadata: { name, namespace: 'default', uid, attempt: 0 },
    hostname: name,
    logDirectory,
    dnsConfig: { servers: ['10.0.0.10'], searches: [], options: [] },
    labels: {
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': 'default',
      'io.kubernetes.pod.uid': uid,
    },
    annotations: { 'kubernetes.io/config.source': 'file' },
    linux: {
      cgroupParent: `/${cgroup}/kubepods/besteffort/pod${uid}`,
      securityContext: { namespaceOptions, seccomp: { profileType: 'RuntimeDefault' } },
      resources: { cpuPeriod: 100_000, cpuShares: 2 },
    },
  };
}

function container(image: v1.ImageSpec, own: string, labels: Readonly<Record<string, string>>): v1.ContainerConfig {
  return {
    metadata: { name: 'main', attempt: 0 },
    image,
    command: ['sleep', '1000000'],
    mounts: [
      { hostPath: join(own, 'hosts'), containerPath: '/etc/hosts' },
      { hostPath: join(own, 'last-words'), containerPath: '/dev/termination-log' },
    ],
    logPath: 'main/0.log',
    labels: { ...labels, 'io.kubernetes.container.name': 'main' },
    annotations: { 'io.kubernetes.container.restartCount': '0', 'io.kubernetes.container.hash': '1a2b3c4d' },
    linux: {
      resources: { cpuPeriod: 100_000, cpuShares: 2, oomScoreAdj: 1000 },
      securityContext: {
        namespaceOptions,
        maskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
        readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      },
    },
  };
}
