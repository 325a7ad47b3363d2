import type { RequestedChange, ResizeCounts, RetryTrigger } from '../../resources/resize/resize-counts.js';
import { CounterMetric, HistogramMetric, type Accumulator } from './accumulators.js';

const resizeMs = [10, 50, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000];

/** Resizes of running pods, under the kubelet's names. */
export class ResizeMetrics implements ResizeCounts {
  readonly #asked = new CounterMetric(
    'kubelet_container_requested_resizes_total',
    'Number of requested resizes, counted at the container level: each amount of each container for itself.',
  );
  readonly #done = new HistogramMetric(
    'kubelet_pod_resize_duration_milliseconds',
    'Duration in milliseconds to actuate a pod resize',
    resizeMs,
  );
  readonly #refused = new CounterMetric(
    'kubelet_pod_infeasible_resizes_total',
    'Number of infeasible resizes for pods.',
  );
  readonly #grantedLate = new CounterMetric(
    'kubelet_pod_deferred_accepted_resizes_total',
    'Cumulative number of resizes that were accepted after being deferred.',
  );

  get all(): readonly Accumulator[] {
    return [this.#asked, this.#done, this.#refused, this.#grantedLate];
  }

  asked({ resource, requirement, operation }: RequestedChange): void {
    this.#asked.add({ resource, requirement, operation });
  }

  refused(detail: string): void {
    this.#refused.add({ reason_detail: detail });
  }

  grantedLate(trigger: RetryTrigger): void {
    this.#grantedLate.add({ retry_trigger: trigger });
  }

  /** The running containers of one pod were changed, or that failed. */
  done(success: boolean, ms: number): void {
    this.#done.observe({ success: String(success) }, ms);
  }
}
