import type { ContainerStatus as CriContainerStatus, PodSandboxStatus } from '../../proto/generated/cri-v1.js';
import { criAnnotations, criLabels, isCriCode, type RuntimeService } from '../../cri/index.js';
import type { PodUid } from '../api/index.js';
import type { ObservedContainer, ObservedContainerState, ObservedSandbox, RuntimeFacts } from '../podloop/pod-facts.js';

export interface ObserverDeps {
  readonly runtime: RuntimeService;
  /** `containerd`, `berth`, ...: the scheme of container ids in the pod status. Asked until it is known. */
  runtimeName(signal: AbortSignal): Promise<string>;
  /** What an exited container left as its last words. */
  terminationMessage(status: CriContainerStatus): Promise<string>;
}

const millisecond = 1_000_000;

/**
 * What the runtime says of each pod. A pod is read again only after something said that it changed: an event of the runtime, or
 * one of our own verbs. That keeps a pass at rest free of calls.
 */
export class RuntimeObserver {
  readonly #deps: ObserverDeps;
  #name: string | undefined;
  readonly #known = new Map<PodUid, RuntimeFacts>();
  /** Reads under way; an invalidation takes the mark away, and their answer is not kept. */
  readonly #reading = new Map<PodUid, object>();

  constructor(deps: ObserverDeps) {
    this.#deps = deps;
  }

  /** Something of the pod changed: the next `observe` asks the runtime. */
  invalidate(uid: PodUid): void {
    this.#known.delete(uid);
    this.#reading.delete(uid);
  }

  /** The runtime was away: nothing that is remembered can be relied on. */
  invalidateAll(): void {
    this.#known.clear();
    this.#reading.clear();
  }

  async observe(uid: PodUid, signal: AbortSignal): Promise<RuntimeFacts> {
    const known = this.#known.get(uid);
    if (known) return known;
    const mark = {};
    this.#reading.set(uid, mark);
    const facts = await this.#read(uid, signal);
    if (this.#reading.get(uid) === mark) {
      this.#reading.delete(uid);
      this.#known.set(uid, facts);
    }
    return facts;
  }

  /** Uids of all pods the runtime has anything of. */
  async podUids(signal: AbortSignal): Promise<ReadonlySet<PodUid>> {
    const [sandboxes, containers] = await Promise.all([
      this.#deps.runtime.listPodSandbox({}, signal),
      this.#deps.runtime.listContainers({}, signal),
    ]);
    const labels = [...(sandboxes.items ?? []), ...(containers.containers ?? [])].map((item) => item.labels ?? {});
    return new Set(labels.map((label) => label[criLabels.podUid]).filter((uid) => uid !== undefined) as PodUid[]);
  }

  async #read(uid: PodUid, signal: AbortSignal): Promise<RuntimeFacts> {
    const { runtime } = this.#deps;
    this.#name ??= await this.#deps.runtimeName(signal);
    const labelSelector = { [criLabels.podUid]: uid };
    const [sandboxes, containers] = await Promise.all([
      runtime.listPodSandbox({ filter: { labelSelector } }, signal),
      runtime.listContainers({ filter: { labelSelector } }, signal),
    ]);
    const [sandboxStatuses, containerStatuses] = await Promise.all([
      Promise.all(
        (sandboxes.items ?? []).map((item) => ifFound(runtime.podSandboxStatus({ podSandboxId: item.id }, signal))),
      ),
      Promise.all(
        (containers.containers ?? []).map(async (item) => {
          const answer = await ifFound(runtime.containerStatus({ containerId: item.id }, signal));
          if (!answer?.status) return undefined;
          const container = this.#container(answer.status, item.podSandboxId ?? '');
          if (container.state !== 'exited') return container;
          return { ...container, message: (await this.#deps.terminationMessage(answer.status)) || container.message };
        }),
      ),
    ]);
    return {
      sandboxes: sandboxStatuses
        .flatMap((answer) => (answer?.status ? [observedSandbox(answer.status)] : []))
        .sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt),
      containers: containerStatuses
        .filter((container) => container !== undefined)
        .sort((a, b) => b.createdAt - a.createdAt || b.restartCount - a.restartCount),
    };
  }

  #container(status: CriContainerStatus, sandboxId: string): ObservedContainer {
    const annotations = status.annotations ?? {};
    return {
      id: status.id ?? '',
      containerId: `${this.#name}://${status.id ?? ''}`,
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
}

/** Removed between the list and the status: it is simply not there any more. */
async function ifFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (err) {
    if (isCriCode(err, 'not-found')) return undefined;
    throw err;
  }
}

function observedSandbox(status: PodSandboxStatus): ObservedSandbox {
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

/** The zero value of the wire is CONTAINER_CREATED. */
function containerState(state: CriContainerStatus['state']): ObservedContainerState {
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

const toMs = (nanoseconds: number | undefined): number => Math.floor((nanoseconds ?? 0) / millisecond);
