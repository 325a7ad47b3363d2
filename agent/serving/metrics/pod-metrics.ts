import type { AgentPod } from '../../agent.js';
import type { Event, Pod } from '../../api/index.js';
import { CounterMetric, GaugeMetric, HistogramMetric, type Accumulator, type Labels } from './accumulators.js';
import { containerType, lifecycleOf, podLifecycles, staticLabel, resizeOf } from './pod-kinds.js';

const startSeconds = [
  0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
];
const usualSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const perPod = [1, 2, 4, 8, 16];

interface Seen {
  runs: boolean;
  /** It has a user namespace. */
  readonly ownUsers: boolean;
  /** That it was refused, or found without an owner, was counted. */
  rejected: boolean;
  /** It was to go when it was last seen. */
  ending: boolean;
  /** Containers whose end was counted. */
  readonly ended: Set<string>;
  /** Pulls of its images: when the first began, and how long they took so far, ms. */
  pullingSince?: number | undefined;
  pulledMs: number;
}

/** What happens to pods, counted as it is seen; and what they are now, when somebody asks. */
export class PodMetrics {
  readonly #now: () => number;
  readonly #start = new HistogramMetric(
    'kubelet_pod_start_duration_seconds',
    'Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run',
    startSeconds,
  );
  readonly #startTotal = new HistogramMetric(
    'kubelet_pod_start_total_duration_seconds',
    'Duration in seconds to start a pod since creation, including time to pull images and run init containers.',
    startSeconds,
  );
  readonly #startSli = new HistogramMetric(
    'kubelet_pod_start_sli_duration_seconds',
    'Duration in seconds to start a pod since creation, excluding time to pull images and run init containers.',
    startSeconds,
  );
  readonly #perPod = new HistogramMetric('kubelet_containers_per_pod_count', 'Containers per pod.', perPod);
  readonly #rejections = new CounterMetric(
    'kubelet_admission_rejections_total',
    'Cumulative number pod admission rejections by the Kubelet.',
  );
  readonly #orphans = new CounterMetric(
    'kubelet_orphaned_runtime_pods_total',
    'Pods that were found in the container runtime and that nobody wanted.',
  );
  readonly #restarted = new CounterMetric(
    'kubelet_restarted_pods_total',
    'Number of pods that have been restarted because they were deleted and recreated with the same UID while the kubelet was watching them (common for static pods, extremely uncommon for API pods)',
  );
  readonly #userNamespaces = new CounterMetric(
    'kubelet_started_user_namespaced_pods_total',
    'Cumulative number of pods with user namespaces started.',
  );
  readonly #terminated = new CounterMetric(
    'kubelet_terminated_containers_total',
    'Cumulative number of container terminations.',
  );
  readonly #userNamespaceErrors = new CounterMetric(
    'kubelet_started_user_namespaced_pods_errors_total',
    'Cumulative number of errors when starting pods with user namespaces. This metric will only be collected on Linux.',
  );
  readonly #httpFallbacks = new CounterMetric(
    'kubelet_lifecycle_handler_http_fallbacks_total',
    'The number of times lifecycle handlers successfully fell back to http from https.',
  );
  readonly #workerStart = new HistogramMetric(
    'kubelet_pod_worker_start_duration_seconds',
    'Duration in seconds from kubelet seeing a pod to starting a worker.',
    usualSeconds,
  );
  readonly #firstNetworkPod = new GaugeMetric(
    'kubelet_first_network_pod_start_sli_duration_seconds',
    'Duration in seconds to start the first network pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch',
    () => (this.#firstNetworkPodSeconds === undefined ? [] : [{ labels: {}, value: this.#firstNetworkPodSeconds }]),
  );
  readonly #seen = new Map<string, Seen>();
  #firstNetworkPodSeconds: number | undefined;
  /** When the node became ready for the first time. */
  nodeReadyAt: number | undefined;

  constructor(now: () => number) {
    this.#now = now;
    for (const counter of [this.#orphans, this.#userNamespaces, this.#userNamespaceErrors, this.#httpFallbacks])
      counter.add({}, 0);
    for (const fromFile of ['', 'true']) this.#restarted.add({ static: fromFile }, 0);
  }

  get all(): readonly Accumulator[] {
    return [
      ...[this.#start, this.#startTotal, this.#startSli, this.#perPod],
      ...[this.#rejections, this.#orphans, this.#userNamespaces, this.#terminated],
      this.#restarted,
      ...[this.#userNamespaceErrors, this.#httpFallbacks, this.#workerStart, this.#firstNetworkPod],
    ];
  }

  /** A pass changed what the pod shows. */
  changed(now: AgentPod): void {
    const { uid, desired, status, observed } = now;
    if (!desired && !observed) {
      this.#seen.delete(uid);
      return;
    }
    const seen = this.#seen.get(uid) ?? this.#first(now);
    this.#seen.set(uid, seen);
    const { cause } = desired?.termination ?? {};
    if (!seen.rejected && cause === 'rejected') this.#rejections.add({ reason: status?.reason ?? 'Unknown' });
    if (!seen.rejected && cause === 'orphan') this.#orphans.add({});
    const ending = desired === undefined || desired.termination !== undefined;
    if (seen.ending && !ending) this.#restarted.add({ static: staticLabel(desired.static) });
    seen.ending = ending;
    seen.rejected ||= cause === 'rejected' || cause === 'orphan';
    this.#countEnds(now, seen);
    if (status?.phase === 'Running' && desired && !seen.runs) {
      seen.runs = true;
      this.#started(now, seen);
    }
  }

  /** Images are pulled between two events of a pod. */
  event({ reason, involvedObject }: Event): void {
    this.#countEvent(reason ?? '', involvedObject);
    const seen = this.#seen.get(involvedObject.uid ?? '');
    if (!seen) return;
    if (reason === 'Pulling') seen.pullingSince ??= this.#now();
    if (reason !== 'Pulled' && reason !== 'Failed') return;
    if (seen.pullingSince === undefined) return;
    const took = Math.max(this.#now() - seen.pullingSince, 0);
    seen.pulledMs += took;
    seen.pullingSince = undefined;
  }

  #countEvent(reason: string, { uid, kind }: Event['involvedObject']): void {
    if (reason === 'LifecycleHTTPFallback') this.#httpFallbacks.add({});
    if (reason === 'NodeReady' && kind === 'Node') this.nodeReadyAt ??= this.#now();
    if (reason === 'FailedCreatePodSandBox' && this.#seen.get(uid ?? '')?.ownUsers) this.#userNamespaceErrors.add({});
  }

  #first({ desired }: AgentPod): Seen {
    const sighted = seenAt(desired?.pod);
    if (sighted !== undefined) this.#workerStart.observe({}, Math.max(this.#now() - sighted, 0) / 1000);
    const ownUsers = desired?.pod.spec?.hostUsers === false;
    if (desired) this.#perPod.observe({}, desired.pod.spec?.containers.length ?? 0);
    if (ownUsers) this.#userNamespaces.add({});
    return { runs: false, rejected: false, ending: false, ownUsers, ended: new Set(), pulledMs: 0 };
  }

  #countEnds({ desired, observed }: AgentPod, seen: Seen): void {
    const present = new Set(observed?.containers.map(({ id }) => id));
    for (const { id, name, state, exitCode, reason } of observed?.containers ?? []) {
      if (state !== 'exited' || seen.ended.has(id)) continue;
      seen.ended.add(id);
      const type = containerType(desired?.pod, name);
      this.#terminated.add({ container_type: type, exit_code: String(exitCode), reason });
    }
    for (const id of seen.ended) if (!present.has(id)) seen.ended.delete(id);
  }

  #started({ desired, status }: AgentPod, seen: Seen): void {
    const created = Date.parse(desired?.pod.metadata?.creationTimestamp ?? '');
    const first = seenAt(desired?.pod) ?? created;
    const now = this.#now();
    if (Number.isFinite(first)) this.#start.observe({}, Math.max(now - first, 0) / 1000);
    if (!Number.isFinite(created)) return;
    const init = (status?.initContainerStatuses ?? []).reduce((sum, { state }) => {
      const { startedAt = '', finishedAt = '' } = state?.terminated ?? {};
      return sum + (Math.max(Date.parse(finishedAt) - Date.parse(startedAt), 0) || 0);
    }, 0);
    this.#startTotal.observe({}, Math.max(now - created, 0) / 1000);
    const sli = Math.max(now - created - seen.pulledMs - init, 0) / 1000;
    this.#startSli.observe({}, sli);
    if (desired?.pod.spec?.hostNetwork !== true) this.#firstNetworkPodSeconds ??= sli;
  }
}

function seenAt(pod: Pod | undefined): number | undefined {
  const at = Date.parse(pod?.metadata?.annotations?.['kubernetes.io/config.seen'] ?? '');
  return Number.isFinite(at) ? at : undefined;
}

/** What pods are now. */
export function podGauges(pods: () => readonly AgentPod[]): Accumulator[] {
  const counted = (
    name: string,
    help: string,
    labelsOf: (pod: AgentPod) => readonly Labels[],
    always: readonly Labels[] = [],
  ): GaugeMetric =>
    new GaugeMetric(name, help, () => {
      const counts = new Map(always.map((labels) => [JSON.stringify(labels), { labels, value: 0 }]));
      for (const labels of pods().flatMap((pod) => labelsOf(pod))) {
        const key = JSON.stringify(labels);
        const known = counts.get(key) ?? { labels, value: 0 };
        counts.set(key, known);
        known.value++;
      }
      return [...counts.values()];
    });
  const total = (name: string, help: string, of: (pod: AgentPod) => number): GaugeMetric =>
    new GaugeMetric(name, help, () => [{ labels: {}, value: pods().reduce((sum, pod) => sum + of(pod), 0) }]);
  return [
    total('kubelet_mirror_pods', 'Mirror pods the agent keeps, one per static pod.', ({ desired }) =>
      desired?.static && !desired.termination ? 1 : 0,
    ),
    total(
      'kubelet_managed_ephemeral_containers',
      'Current number of ephemeral containers in pods managed by this kubelet.',
      ({ desired }) => desired?.pod.spec?.ephemeralContainers?.length ?? 0,
    ),
    counted(
      'kubelet_working_pods',
      'Pods by what is done with them and who wants them.',
      (pod) => [lifecycleOf(pod)],
      podLifecycles,
    ),
    counted('kubelet_pod_pending_resizes', 'Number of pending resizes for pods.', (pod) => {
      const reason = resizeOf(pod, 'PodResizePending');
      return reason === undefined ? [] : [{ reason: reason.toLowerCase() }];
    }),
    total('kubelet_pod_in_progress_resizes', 'Number of in-progress resizes for pods.', (pod) =>
      resizeOf(pod, 'PodResizeInProgress') === undefined ? 0 : 1,
    ),
  ];
}
