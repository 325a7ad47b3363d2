import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import { isTerminalPhase, type Pod, type PodStatus, type PodUid } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { podReference } from '../events/references.js';
import { Lifetimes } from '../lifetimes.js';
import type { Step } from '../podloop/steps.js';
import type { DesiredPods } from '../pods/desired-pods.js';
import type { ResizeNode } from '../resources/resize/judge-resize.js';
import { PodResizes } from '../resources/resize/pod-resizes.js';
import type { ResizeCounts } from '../resources/resize/resize-counts.js';
import { ResourceRecord } from '../resources/resize/resource-record.js';

export interface ResizeParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly counts: ResizeCounts;
  node(): ResizeNode;
  desired(): DesiredPods;
  statusOf(uid: PodUid): PodStatus | undefined;
  apply(pods: readonly Pod[], synced: boolean): void;
  changed(uid: PodUid): void;
}

/** Steps that another promise lets try again at once. */
export const resizeSteps: ReadonlySet<Step['kind']> = new Set(['resize-pod']);

export interface OpenResizes extends AsyncDisposable {
  readonly sizes: PodResizes;
  /** A pod may have given something back with it. */
  readonly statusChanged: (uid: PodUid) => void;
}

/** What pods are promised and were given, with the kubelet's records of both. */
export async function wireResizes({ paths }: AgentConfig, parts: ResizeParts): Promise<OpenResizes> {
  await using opening = new Lifetimes();
  const { clock, log, events, counts } = parts;
  const open = async (name: string): Promise<ResourceRecord> =>
    opening.use(await ResourceRecord.open(join(paths.rootDir, name), { clock, log }));
  const allocated = await open('allocated_pods_state');
  const actuated = await open('actuated_pods_state');
  const sizes = new PodResizes({
    ...{ clock, log, counts, allocated, actuated },
    node: () => parts.node(),
    holding: () =>
      parts
        .desired()
        .all()
        .filter(
          ({ uid, termination }) => termination?.cause !== 'rejected' && !isTerminalPhase(parts.statusOf(uid)?.phase),
        )
        .map(({ pod }) => pod),
    isLiving: (uid) => parts.desired().get(uid)?.termination === undefined,
    apply: (pods, synced) => parts.apply(pods, synced),
    changed: (uid) => parts.changed(uid),
    tell: (pod, { type, reason, message }) => events.record(podReference(pod), type, reason, message),
  });
  const owned = opening.release();
  const statusChanged = (uid: PodUid): void =>
    sizes.retrySoon(isTerminalPhase(parts.statusOf(uid)?.phase) ? 'pod_terminated' : 'pod_resized');
  return { sizes, statusChanged, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() };
}
