import type { Pod, PodUid } from '../../api/index.js';
import type { Step } from '../../podloop/steps.js';
import { noResizeCounts, type ResizeCounts } from '../../resources/resize/resize-counts.js';
import { CounterMetric, GaugeMetric, HistogramMetric, type Accumulator } from './accumulators.js';
import { containerType } from './pod-kinds.js';
import { ResizeMetrics } from './resize-metrics.js';

export interface WorkedPod {
  readonly uid: PodUid;
  readonly pod: Pod | undefined;
  /** It is to go. */
  readonly ending: boolean;
  /** It has containers. */
  readonly created: boolean;
}

/** What the agent does to make pods what they should be. Never throws; cheap enough for every deed. */
export interface WorkCounts {
  /** A step of a pod begins; the answer is called at its end, with the reason where it failed. */
  step(of: WorkedPod, step: Step): (failure?: string) => void;
  cgroup(operation: string, seconds: number): void;
  /** From the first change that a write of a pod's status carries until the server has it. */
  statusWritten(seconds: number): void;
  /** Everything in the runtime was looked at, or all of one pod. */
  relisted(of: 'all' | 'pod', seconds: number): void;
  imageEnsured(policy: string, present: boolean | undefined, pullRequired: boolean | undefined): void;
  imagePulled(seconds: number, bytes: number): void;
  /** A pod has to go for want of this resource. */
  preempted(resource: string): void;
  /** How long it took to make the node object, or to find it. */
  nodeRegistered(seconds: number): void;
  /** A hook that sleeps was ended before its time. */
  sleepCutShort(): void;
  readonly resizes: ResizeCounts;
}

export const noWork: WorkCounts = {
  step: () => () => {},
  cgroup: () => {},
  statusWritten: () => {},
  relisted: () => {},
  imageEnsured: () => {},
  imagePulled: () => {},
  preempted: () => {},
  nodeRegistered: () => {},
  sleepCutShort: () => {},
  resizes: noResizeCounts,
};

const usualSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const pullSeconds = [1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600];
/** The kubelet's words for sizes, by the MiB from which they hold; largest first. */
const imageSizes: readonly (readonly [number, string])[] = [
  [102_400, 'GT100GB'],
  [61_440, '60GB-100GB'],
  [40_960, '40GB-60GB'],
  [30_720, '30GB-40GB'],
  [20_480, '20GB-30GB'],
  [10_240, '10GB-20GB'],
  [5120, '5GB-10GB'],
  [1024, '1GB-5GB'],
  [500, '500MB-1GB'],
  [100, '100MB-500MB'],
  [10, '10MB-100MB'],
];
const statusSeconds = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 20, 30, 45, 60];

/** The steps of one pod that are under way. */
interface Busy {
  steps: number;
  since: number;
  type: 'create' | 'update' | 'sync' | 'kill';
}

export class WorkMetrics implements WorkCounts {
  readonly #worker = new HistogramMetric(
    'kubelet_pod_worker_duration_seconds',
    'Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync',
    usualSeconds,
  );
  readonly #cgroups = new HistogramMetric(
    'kubelet_cgroup_manager_duration_seconds',
    'Duration in seconds for cgroup manager operations. Broken down by method.',
    usualSeconds,
  );
  readonly #statuses = new HistogramMetric(
    'kubelet_pod_status_sync_duration_seconds',
    'Duration in seconds to sync a pod status update. Measures time from detection of a change to pod status until the API is successfully updated for that pod, even if multiple intevening changes to pod status occur.',
    statusSeconds,
  );
  readonly #relists = new HistogramMetric(
    'kubelet_pleg_relist_duration_seconds',
    'Duration in seconds for relisting pods in PLEG.',
    usualSeconds,
  );
  readonly #relistIntervals = new HistogramMetric(
    'kubelet_pleg_relist_interval_seconds',
    'Interval in seconds between relisting in PLEG.',
    usualSeconds,
  );
  readonly #podRelists = new HistogramMetric(
    'kubelet_pleg_pod_relist_duration_seconds',
    'Duration in seconds for relisting a single pod in PLEG.',
    usualSeconds,
  );
  readonly #discarded = new CounterMetric('kubelet_pleg_discard_events', 'The number of discard events in PLEG.');
  readonly #images = new CounterMetric(
    'kubelet_image_manager_ensure_image_requests_total',
    'Number of ensure-image requests processed by the kubelet.',
  );
  readonly #pulls = new HistogramMetric(
    'kubelet_image_pull_duration_seconds',
    'Duration in seconds to pull an image.',
    pullSeconds,
  );
  readonly #preemptions = new CounterMetric(
    'kubelet_preemptions',
    'Cumulative number of pod preemptions by preemption resource',
  );
  readonly #started = new CounterMetric('kubelet_started_containers_total', 'Cumulative number of containers started');
  readonly #startErrors = new CounterMetric(
    'kubelet_started_containers_errors_total',
    'Cumulative number of errors when starting containers',
  );
  readonly #sleepsCut = new CounterMetric(
    'kubelet_sleep_action_terminated_early_total',
    'The number of times lifecycle sleep handler got terminated before it finishes',
  );
  readonly #registration = new GaugeMetric(
    'kubelet_node_startup_registration_duration_seconds',
    'Duration in seconds of node startup during registration.',
    () => (this.registration ? [{ labels: {}, value: this.registration.seconds }] : []),
  );
  readonly resizes = new ResizeMetrics();
  readonly #busy = new Map<PodUid, Busy>();
  #relistedAt: number | undefined;
  /** The first one; when it ended, milliseconds of the wall clock. */
  registration: { readonly seconds: number; readonly at: number } | undefined;

  constructor() {
    // Events wake a pod, and what wakes cannot be too much.
    this.#discarded.add({}, 0);
    this.#sleepsCut.add({}, 0);
  }

  get all(): readonly Accumulator[] {
    return [
      ...[this.#worker, this.#cgroups, this.#statuses, this.#relists, this.#relistIntervals, this.#podRelists],
      ...[this.#pulls, this.#preemptions],
      ...[this.#discarded, this.#images, this.#started, this.#startErrors, this.#registration],
      ...[this.#sleepsCut, ...this.resizes.all],
    ];
  }

  /** A pod's loop works from the first of its steps until none is under way: that is what a kubelet's worker does in one go. */
  step(of: WorkedPod, step: Step): (failure?: string) => void {
    const { uid, pod } = of;
    const busy = this.#busy.get(uid) ?? { steps: 0, since: performance.now(), type: operationType(of, step) };
    this.#busy.set(uid, busy);
    busy.steps++;
    const begunAt = performance.now();
    return (failure) => {
      if (step.kind === 'resize-pod') this.resizes.done(failure === undefined, performance.now() - begunAt);
      this.#countStart(step, pod, failure);
      if (--busy.steps > 0) return;
      this.#busy.delete(uid);
      this.#worker.observe({ operation_type: busy.type }, (performance.now() - busy.since) / 1000);
    };
  }

  cgroup(operation: string, seconds: number): void {
    this.#cgroups.observe({ operation_type: operation }, seconds);
  }

  statusWritten(seconds: number): void {
    this.#statuses.observe({}, seconds);
  }

  relisted(of: 'all' | 'pod', seconds: number): void {
    if (of === 'pod') return this.#podRelists.observe({}, seconds);
    const now = performance.now();
    if (this.#relistedAt !== undefined) this.#relistIntervals.observe({}, (now - this.#relistedAt) / 1000);
    this.#relistedAt = now;
    this.#relists.observe({}, seconds);
  }

  imageEnsured(policy: string, present: boolean | undefined, pullRequired: boolean | undefined): void {
    this.#images.add({
      present_locally: String(present ?? 'unknown'),
      pull_policy: policy.toLowerCase(),
      pull_required: String(pullRequired ?? 'unknown'),
    });
  }

  imagePulled(seconds: number, bytes: number): void {
    this.#pulls.observe({ image_size_in_bytes: imageSize(bytes) }, seconds);
  }

  preempted(resource: string): void {
    this.#preemptions.add({ preemption_signal: resource });
  }

  nodeRegistered(seconds: number): void {
    this.registration ??= { seconds, at: Date.now() };
  }

  sleepCutShort(): void {
    this.#sleepsCut.add({});
  }

  /** Every try counts, also one that ends at the image. */
  #countStart(step: Step, pod: Pod | undefined, failure: string | undefined): void {
    if (step.kind !== 'start-container' && (step.kind !== 'ensure-image' || failure === undefined)) return;
    const type = { container_type: containerType(pod, step.container) };
    this.#started.add(type);
    if (failure !== undefined) this.#startErrors.add({ ...type, code: failure });
  }
}

function operationType({ ending, created }: WorkedPod, { kind }: Step): Busy['type'] {
  if (ending) return 'kill';
  if (kind === 'resize-pod') return 'update';
  return created ? 'sync' : 'create';
}

function imageSize(bytes: number): string {
  if (bytes === 0) return 'N/A';
  return imageSizes.find(([from]) => bytes >= from * 2 ** 20)?.[1] ?? '0-10MB';
}
