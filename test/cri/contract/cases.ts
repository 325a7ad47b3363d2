import {
  isCriCode,
  type CriCode,
  type ImageService,
  type RuntimeService,
  type StreamingService,
  type v1,
} from '../../../cri/index.js';
import type { ContractPod } from './pod.js';

/** One runtime under test with what the suite needs of its surroundings. */
export interface ContractSubject extends AsyncDisposable {
  readonly runtime: RuntimeService;
  readonly streaming: StreamingService;
  /** Absent where another part keeps the images. */
  readonly images?: ImageService | undefined;
  /** An image with busybox and its applets in /bin, present, without an entrypoint. */
  readonly imageRef: string;
  /** Pods' logs go below this folder. */
  readonly logFolder: string;
  /** Parent cgroup for sandboxes; empty for none. */
  readonly cgroupParent: string;
  /** Left out of the suite, with the reason the runtime cannot do it. */
  readonly cannot?: Partial<
    Record<
      | 'attach-input'
      | 'cpu-rate'
      | 'create-unfit'
      | 'exec-tty-resize'
      | 'exec-abort'
      | 'exec-start-failure'
      | 'exec-cut'
      | 'no-log'
      | 'stats'
      | 'metrics'
      | 'events'
      | 'shared-pid'
      | 'shared-uts'
      | 'pod-containers'
      | 'pod-containers-order'
      | 'refuse-create-in-stopped'
      | 'refuse-sysctl'
      | 'refuse-taken-name'
      | 'refuse-unified'
      | 'sandbox-events'
      | 'image-filter'
      | 'kill-at-once'
      | 'late-privileged'
      | 'refuse-unstarted'
      | 'stats-of-ended'
      | 'two-starts',
      string
    >
  >;
}

/** What the cases of one topic are handed. */
export interface ContractCases {
  readonly subject: () => ContractSubject;
  /** Not run yet. */
  readonly newPod: (overrides?: Partial<v1.PodSandboxConfig>) => ContractPod;
  readonly runPod: (overrides?: Partial<v1.PodSandboxConfig>) => Promise<ContractPod>;
  readonly status: (containerId: string) => Promise<v1.ContainerStatus>;
  /** Resolves when it has. */
  readonly ended: (containerId: string) => Promise<v1.ContainerStatus>;
}

export const { signal } = new AbortController();
/** An id that nothing has. */
export const absent = 'f'.repeat(64);
export const sleeper = ['sleep', '100000'];
export const podNamespaces = {
  securityContext: { namespaceOptions: { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } },
} as const;

export const code =
  (expected: CriCode) =>
  (err: unknown): boolean =>
    isCriCode(err, expected);

export const decode = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
