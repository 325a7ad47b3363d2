/** Numbers kept until somebody asks for them. They know no library: what formats them is loaded at the first scrape. */
export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  /** Differs from the metric's own name for the parts of a histogram. */
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export interface MetricSnapshot {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly values: readonly Sample[];
}

export interface Accumulator {
  snapshot(): MetricSnapshot;
}

const keyOf = (labels: Labels): string => Object.values(labels).join('\0');

/** A number that only grows, per set of labels. All sets of one metric have the same labels in the same order. */
export class CounterMetric implements Accumulator {
  readonly #name: string;
  readonly #help: string;
  readonly #series = new Map<string, { readonly labels: Labels; value: number }>();

  constructor(name: string, help: string) {
    this.#name = name;
    this.#help = help;
  }

  add(labels: Labels, amount = 1): void {
    const key = keyOf(labels);
    const series = this.#series.get(key) ?? { labels, value: 0 };
    this.#series.set(key, series);
    series.value += amount;
  }

  /** Drops what is counted for something that is gone, so that the number of series stays bounded. */
  forget(gone: (labels: Labels) => boolean): void {
    for (const [key, { labels }] of this.#series) if (gone(labels)) this.#series.delete(key);
  }

  snapshot(): MetricSnapshot {
    const values = [...this.#series.values()].map(({ labels, value }) => ({ metricName: this.#name, labels, value }));
    return { name: this.#name, help: this.#help, type: 'counter', values };
  }
}

interface HistogramSeries {
  readonly labels: Labels;
  readonly counts: number[];
  sum: number;
  count: number;
}

/** How many observations were at most each bound, per set of labels. */
export class HistogramMetric implements Accumulator {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, HistogramSeries>();

  /** `bounds` ascend; the last bucket, without an upper bound, is added. */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
  }

  observe(labels: Labels, value: number): void {
    const key = keyOf(labels);
    const series = this.#series.get(key) ?? { labels, counts: this.#bounds.map(() => 0), sum: 0, count: 0 };
    this.#series.set(key, series);
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
    series.count++;
  }

  forget(gone: (labels: Labels) => boolean): void {
    for (const [key, { labels }] of this.#series) if (gone(labels)) this.#series.delete(key);
  }

  snapshot(): MetricSnapshot {
    const values = [...this.#series.values()].flatMap((series) => this.#samples(series));
    return { name: this.#name, help: this.#help, type: 'histogram', values };
  }

  #samples({ labels, counts, sum, count }: HistogramSeries): Sample[] {
    let below = 0;
    const buckets = this.#bounds.map((bound, index) => {
      below += counts[index] ?? 0;
      return { metricName: `${this.#name}_bucket`, labels: { ...labels, le: bound }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${this.#name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
      { metricName: `${this.#name}_sum`, labels, value: sum },
      { metricName: `${this.#name}_count`, labels, value: count },
    ];
  }
}

export interface GaugeReading {
  readonly labels: Labels;
  readonly value: number;
}

/** Read when asked for. */
export class GaugeMetric implements Accumulator {
  readonly #name: string;
  readonly #help: string;
  readonly #read: () => readonly GaugeReading[];

  constructor(name: string, help: string, read: () => readonly GaugeReading[]) {
    this.#name = name;
    this.#help = help;
    this.#read = read;
  }

  snapshot(): MetricSnapshot {
    const values = this.#read().map(({ labels, value }) => ({ metricName: this.#name, labels, value }));
    return { name: this.#name, help: this.#help, type: 'gauge', values };
  }
}
