import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { runEvery } from '../../base/run-every.js';
import type { CriRuntime } from '../../cri/index.js';
import { isTerminalPhase, type ObjectReference, type PodUid } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { PodLogFolders } from '../logs/pod-log-folders.js';
import type { RuntimeObserver } from '../observe/runtime-observer.js';
import type { PodLoops } from '../podloop/pod-loops.js';
import type { DesiredPods } from '../pods/desired-pods.js';
import { ContainerCollector } from './container-collector.js';
import type { ContainerPolicy, PodLife } from './container-policy.js';
import { ImageCollector, type KnownImage } from './image-collector.js';
import type { ImagePolicy } from './image-policy.js';
import { imageUsers } from './image-users.js';
import type { LogRotationPolicy } from './log-rotation-plan.js';
import { LogRotator } from './log-rotator.js';
import { sweepLogs, type LogSweeperOptions } from './log-sweeper.js';

export interface GarbagePolicies {
  readonly images: ImagePolicy;
  readonly containers: ContainerPolicy;
  readonly logs: LogRotationPolicy & { readonly everyMs: number };
}

export interface GarbageDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly runtime: CriRuntime;
  /** What the runtime's own image store knows, where there is one. */
  readonly knownImages?: (() => readonly KnownImage[]) | undefined;
  readonly loops: PodLoops;
  readonly desired: DesiredPods;
  readonly observer: RuntimeObserver;
  readonly logs: PodLogFolders;
  sourcesSynced(): boolean;
}

const imageEveryMs = 300_000;
const containerEveryMs = 60_000;

export interface Garbage {
  readonly images: ImageCollector;
  readonly containers: ContainerCollector;
  start(signal: AbortSignal): Promise<void>[];
}

/** Everything that is removed because nobody needs it any more: images, dead containers, logs. */
export function openGarbage(
  folders: LogSweeperOptions,
  policies: GarbagePolicies,
  node: ObjectReference,
  deps: GarbageDeps,
): Garbage {
  const { clock, log, events, runtime, loops, desired, observer, logs } = deps;
  const images = new ImageCollector(policies.images, {
    clock,
    log,
    events,
    node,
    images: runtime.images,
    known: deps.knownImages,
    users: (signal) =>
      imageUsers({ runtime: runtime.runtime, images: runtime.images, wantedPods: () => desired.active() }, signal),
  });
  const lifeOf = (uid: PodUid): PodLife => {
    if (!desired.get(uid)) return deps.sourcesSynced() ? 'absent' : 'alive';
    // Only once its status tells of the end: until then the containers are what it is told from.
    const { phase } = loops.last(uid)?.status ?? {};
    return isTerminalPhase(phase) ? 'ended' : 'alive';
  };
  const containers = new ContainerCollector(policies.containers, {
    clock,
    log,
    runtime: runtime.runtime,
    pods: () =>
      loops.uids().flatMap((uid) => {
        const live = loops.live(uid);
        return live ? [{ uid, life: lifeOf(uid), seen: live.seen() }] : [];
      }),
    removeLogs: (container) => logs.removeInstance(container),
    changed: (uid) => {
      observer.invalidate(uid);
      loops.wakeKnown(uid);
    },
  });
  const rotator = new LogRotator(policies.logs, {
    clock,
    log,
    reopen: async (containerId, signal) => {
      await runtime.runtime.reopenContainerLog({ containerId }, signal);
    },
  });
  const runningLogs = (): { containerId: string; path: string }[] =>
    loops
      .uids()
      .flatMap((uid) =>
        (loops.live(uid)?.seen().containers ?? [])
          .filter(({ state, logPath }) => state === 'running' && logPath !== '')
          .map(({ id, logPath }) => ({ containerId: id, path: logPath })),
      );
  const sweep = async (signal: AbortSignal): Promise<void> => {
    if (!deps.sourcesSynced()) return;
    try {
      await containers.collect({ endedPodsToo: false }, signal);
    } catch (err) {
      signal.throwIfAborted();
      events.record(node, 'Warning', 'ContainerGCFailed', errorText(err));
      throw err;
    }
    const isKnown = (uid: PodUid): boolean => desired.get(uid) !== undefined || loops.live(uid) !== undefined;
    const written = new Set(runningLogs().map(({ path }) => path));
    const isWritten = (path: string): boolean => written.has(path);
    await sweepLogs(folders, { log, isKnown, isWritten, removePod: (uid) => logs.removePod(uid) }, signal);
  };
  return {
    images,
    containers,
    start: (signal) => [
      runEvery(
        { what: 'log rotation', everyMs: policies.logs.everyMs },
        async (s) => void (await rotator.rotateAll(runningLogs(), s)),
        deps,
        signal,
      ),
      runEvery({ what: 'container garbage collection', everyMs: containerEveryMs }, sweep, deps, signal),
      runEvery(
        { what: 'image garbage collection', everyMs: imageEveryMs },
        async (s) => void (await images.collect(s)),
        deps,
        signal,
      ),
    ],
  };
}
