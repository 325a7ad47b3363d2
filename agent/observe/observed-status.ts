import type { ContainerStatus as CriContainerStatus, PodSandboxStatus } from '../../proto/generated/cri-v1.js';
import { criAnnotations, criLabels } from '../../cri/index.js';
import type { ObservedContainer, ObservedContainerState, ObservedSandbox } from '../podloop/pod-facts.js';

const millisecond = 1_000_000;

const toMs = (nanoseconds: number | undefined): number => Math.floor((nanoseconds ?? 0) / millisecond);

export function observedSandbox(status: PodSandboxStatus): ObservedSandbox {
  const hostNetwork = status.linux?.namespaces?.options?.network === 'NODE';
  const { ip = '', additionalIps = [] } = status.network ?? {};
  return {
    id: status.id ?? '',
    attempt: status.metadata?.attempt ?? 0,
    ready: status.state !== 'SANDBOX_NOTREADY',
    createdAt: toMs(status.createdAt),
    ips: hostNetwork || ip === '' ? [] : [ip, ...additionalIps.flatMap((address) => (address.ip ? [address.ip] : []))],
    hostNetwork,
  };
}

export function observedContainer(
  status: CriContainerStatus,
  sandboxId: string,
  runtimeName: string,
): ObservedContainer {
  const annotations = status.annotations ?? {};
  return {
    id: status.id ?? '',
    containerId: `${runtimeName}://${status.id ?? ''}`,
    name: status.labels?.[criLabels.containerName] ?? status.metadata?.name ?? '',
    sandboxId,
    state: containerState(status.state),
    restartCount: Number(annotations[criAnnotations.restartCount] ?? status.metadata?.attempt ?? 0),
    createdAt: toMs(status.createdAt),
    startedAt: toMs(status.startedAt),
    finishedAt: toMs(status.finishedAt),
    exitCode: status.exitCode ?? 0,
    reason: status.reason ?? '',
    message: status.message ?? '',
    image: status.image?.userSpecifiedImage || (status.image?.image ?? ''),
    imageRef: status.imageRef ?? '',
    hash: annotations[criAnnotations.containerHash],
    resources: status.resources ?? undefined,
    user: status.user ?? undefined,
    mounts: status.mounts ?? [],
    logPath: status.logPath ?? '',
  };
}

/** The zero value of the wire is CONTAINER_CREATED. */
export function containerState(state: CriContainerStatus['state']): ObservedContainerState {
  switch (state) {
    case 'CONTAINER_RUNNING':
      return 'running';
    case 'CONTAINER_EXITED':
      return 'exited';
    case 'CONTAINER_UNKNOWN':
      return 'unknown';
    case 'CONTAINER_CREATED':
    case undefined:
      return 'created';
  }
}
