import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { CriRuntime } from '../../cri/index.js';
import { podUidOf, type PodUid } from '../api/index.js';
import { kubeVersion, type AgentConfig } from '../config/agent-config.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { ExecutorDeps } from '../executors/executor-deps.js';
import { makeExecutors, type Executors } from '../executors/index.js';
import { LifecycleHooks } from '../hooks/lifecycle-hooks.js';
import { ImagePuller } from '../images/image-puller.js';
import { StartGate } from '../podloop/start-gate.js';
import { httpGet } from '../probes/http-get.js';

export interface ExecutorParts extends Pick<
  ExecutorDeps,
  'configs' | 'volumes' | 'cgroups' | 'folders' | 'logs' | 'grants' | 'reject'
> {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly controlPlane: ControlPlane;
  readonly cri: CriRuntime;
  /** Words about a pull under way. */
  progress(uid: PodUid, container: string, text: string): void;
}

/** What acts for the plans: the executors with images, hooks and the gate for bursts. */
export function wireExecutors(config: AgentConfig, parts: ExecutorParts): Executors {
  const { clock, log, events, controlPlane, cri, ...rest } = parts;
  const { runtime, images } = cri;
  const puller = new ImagePuller(
    { maxParallelPulls: config.limits.parallelPulls },
    {
      ...{ clock, images, events },
      secret: (namespace, name, signal) => controlPlane.get('Secret', namespace, name, signal),
      nodeCredentials: () => Promise.resolve([]),
      progress: (pod, container, text) => parts.progress(podUidOf(pod), container, text),
    },
  );
  return makeExecutors({
    ...{ clock, log, runtime, events, images: puller },
    ...rest,
    gate: new StartGate(config.limits.starts),
    hooks: new LifecycleHooks({ clock, runtime, events, httpGet, kubeVersion }),
  });
}
