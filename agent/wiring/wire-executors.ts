import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { CriRuntime } from '../../cri/index.js';
import type { PodUid } from '../api/index.js';
import { kubeVersion, type AgentConfig } from '../config/agent-config.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { ExecutorDeps } from '../executors/executor-deps.js';
import { makeExecutors, type Executors } from '../executors/index.js';
import { LifecycleHooks } from '../hooks/lifecycle-hooks.js';
import type { RuntimeObserver } from '../observe/runtime-observer.js';
import { StartGate } from '../podloop/start-gate.js';
import { httpGet } from '../probes/http-get.js';
import { countedExecutors, type WorkCounts } from '../serving/metrics/index.js';

export interface ExecutorParts extends Pick<
  ExecutorDeps,
  'configs' | 'volumes' | 'cgroups' | 'sizes' | 'cpusOf' | 'folders' | 'logs' | 'grants' | 'reject' | 'images'
> {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly cri: CriRuntime;
  readonly work: WorkCounts;
  readonly observer: RuntimeObserver;
  /** Makes the pod's loop look at the pod. */
  wake(uid: PodUid): void;
}

/** What acts for the plans: the executors with images, hooks and the gate for bursts. */
export function wireExecutors(config: AgentConfig, parts: ExecutorParts): Executors {
  const { clock, log, events, work, cri, observer, ...rest } = parts;
  const { runtime } = cri;
  const executors = makeExecutors({
    ...{ clock, log, runtime, events },
    ...rest,
    changed: (uid, change, news = false) => {
      if (observer.tell(uid, change) && news) parts.wake(uid);
    },
    gate: new StartGate(config.limits.starts),
    hooks: new LifecycleHooks({
      ...{ clock, runtime, events, httpGet, kubeVersion },
      sleepCutShort: () => work.sleepCutShort(),
    }),
  });
  return countedExecutors(executors, work);
}
