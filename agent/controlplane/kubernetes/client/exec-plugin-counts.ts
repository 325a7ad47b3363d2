import { X509Certificate } from 'node:crypto';
import type { Clock } from '../../../../base/clock.js';
import type { ProgramEnd } from '../../../../base/run-program.js';
import {
  CounterMetric,
  GaugeMetric,
  HistogramMetric,
  type Accumulator,
} from '../../../serving/metrics/accumulators.js';

const [hour, day] = [3600, 86_400];
const lifeSeconds = [600, 1800, hour, 4 * hour, day, 7 * day, 30 * day, 90 * day, 180 * day, 360 * day, 1440 * day];

/** How a credential plugin does, under the names of every Kubernetes component. */
export class ExecPluginCounts {
  readonly all: readonly Accumulator[];
  readonly #calls = new CounterMetric(
    'rest_client_exec_plugin_call_total',
    'Number of calls to an exec plugin, partitioned by the type of event encountered and the exit code.',
  );
  readonly #lives = new HistogramMetric(
    'rest_client_exec_plugin_certificate_rotation_age',
    'Histogram of the number of seconds the last auth exec plugin client certificate lived before being rotated.',
    lifeSeconds,
  );
  #current: X509Certificate | undefined;

  constructor(clock: Pick<Clock, 'now'>) {
    const left = new GaugeMetric(
      'rest_client_exec_plugin_ttl_seconds',
      'Seconds until the client certificate of the exec plugin expires, negative when it has; +Inf while there is none.',
      () => {
        const value = this.#current ? (Date.parse(this.#current.validTo) - clock.now()) / 1000 : Infinity;
        return [{ labels: {}, value }];
      },
    );
    this.all = [this.#calls, this.#lives, left];
  }

  /** `understood` is false for output that is no credential. */
  called(end: ProgramEnd, understood: boolean): void {
    const [code, status] = outcomeOf(end, understood);
    this.#calls.add({ call_status: status, code: String(code) });
  }

  /** What the plugin gave last; undefined where it gives tokens. */
  holds(pem: string | undefined, now: number): void {
    const before = this.#current;
    const next = certificateOf(pem);
    if (before !== undefined && before.fingerprint256 === next?.fingerprint256) return;
    if (before) this.#lives.observe({}, (now - Date.parse(before.validFrom)) / 1000);
    this.#current = next;
  }
}

function outcomeOf(end: ProgramEnd, understood: boolean): readonly [code: number, status: string] {
  if (end.kind === 'not-started')
    return [1, end.errno === 'ENOENT' ? 'plugin_not_found_error' : 'client_internal_error'];
  if (end.kind !== 'exited') return [1, 'client_internal_error'];
  if (end.code !== 0) return [end.code, 'plugin_execution_error'];
  return understood ? [0, 'no_error'] : [1, 'client_internal_error'];
}

function certificateOf(pem: string | undefined): X509Certificate | undefined {
  try {
    return pem === undefined ? undefined : new X509Certificate(pem);
  } catch {
    // Whoever uses it says so.
    return undefined;
  }
}
