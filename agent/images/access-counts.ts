import { CounterMetric, GaugeMetric, type Accumulator } from '../serving/metrics/accumulators.js';
import type { PullRecords } from './pull-records.js';

/** What looking at an image that is here said, in the kubelet's words. */
export type AccessVerdict = 'credentialPolicyAllowed' | 'credentialRecordFound' | 'mustAuthenticate' | 'error';

/** How often images that are here were looked at, and what is recorded of their pulls. */
export class AccessCounts {
  readonly #checks = new CounterMetric(
    'kubelet_imagemanager_image_mustpull_checks_total',
    'Counter for how many times kubelet checked whether credentials need to be re-verified to access an image',
  );
  readonly all: readonly Accumulator[];

  constructor(records: Pick<PullRecords, 'intents' | 'all'>) {
    const size = (name: string, help: string, read: () => number): Accumulator =>
      new GaugeMetric(`kubelet_imagemanager_ondisk_${name}`, help, () => [{ labels: {}, value: read() }]);
    this.all = [
      this.#checks,
      size('pullintents', 'Number of ImagePullIntents stored on disk.', () => records.intents.length),
      size('pulledrecords', 'Number of ImagePulledRecords stored on disk.', () => records.all.length),
    ];
  }

  checked(result: AccessVerdict): void {
    this.#checks.add({ result });
  }
}
