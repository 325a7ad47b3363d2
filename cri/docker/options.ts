import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { KeyedLock } from '../../base/fifo-limit.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { SandboxNetwork } from '../contract/sandbox-network.js';
import type { CgroupHost } from '../stats/cgroup-host.js';
import type { CriUsage } from '../stats/cri-usage.js';
import type { ContainerLogs } from './logs/container-logs.js';
import type { DockerApi } from './docker-api.js';
import type { LayerSizes } from './layer-sizes.js';
import type { SandboxFiles } from './sandbox-files.js';

export interface DockerRuntimeOptions {
  /** `/var/run/docker.sock` */
  readonly socketPath: string;
  /** What must outlive the agent: addresses of sandboxes, how far logs were brought over. */
  readonly stateDir: string;
  /** A static program that waits for ever, for the image of sandboxes; busybox. */
  readonly sandboxProgram?: string | undefined;
  readonly requestTimeoutMs?: number | undefined;
}

export interface DockerRuntimeDeps {
  readonly run: RunProgram;
  readonly log: Logger;
  readonly clock: Clock;
  readonly recorder: CallRecorder;
  readonly network: SandboxNetwork;
}

/** What the verbs share. */
export interface DockerContext {
  readonly api: DockerApi;
  readonly deps: DockerRuntimeDeps;
  readonly files: SandboxFiles;
  readonly logs: ContainerLogs;
  readonly layers: LayerSizes;
  /** By the container's id. */
  readonly starts: KeyedLock;
  readonly usage: CriUsage;
  readonly sandboxImage: string;
  readonly cgroups: CgroupHost;
  /** Lowest `oom_score_adj` this machine lets us set. */
  readonly lowestOomScore: number;
}
