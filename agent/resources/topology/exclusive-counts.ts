import {
  CounterMetric,
  GaugeMetric,
  HistogramMetric,
  type Accumulator,
  type GaugeReading,
} from '../../serving/metrics/accumulators.js';
import type { GrantOutcome } from '../../executors/executor-deps.js';
import type { CpuManager } from './cpu-manager.js';
import type { MachineTopology } from './machine-topology.js';
import type { TopologyManagerOptions } from './topology-manager.js';

export interface ExclusiveCountsOptions {
  readonly machine: MachineTopology;
  readonly cpu: CpuManager | undefined;
  readonly topology: Pick<TopologyManagerOptions, 'policy' | 'scope'>;
  /** full-pcpus-only: what is granted is aligned to cores. */
  readonly wholeCores: boolean;
}

type Boundary = 'numa_node' | 'physical_cpu';

const admissionMs = Array.from({ length: 15 }, (_, power) => 0.05 * 2 ** power);

/** What the managers of CPUs, memory and topology did and hold, under the kubelet's names. */
export class ExclusiveCounts {
  readonly #options: ExclusiveCountsOptions | undefined;
  readonly #admissions = new CounterMetric(
    'kubelet_topology_manager_admission_requests_total',
    'The number of admission requests where resources have to be aligned.',
  );
  readonly #refusals = new CounterMetric(
    'kubelet_topology_manager_admission_errors_total',
    'The number of admission request failures where resources could not be aligned.',
  );
  readonly #took = new HistogramMetric(
    'kubelet_topology_manager_admission_duration_ms',
    'Duration in milliseconds to serve a pod admission request.',
    admissionMs,
  );
  readonly #pins = {
    cpu: new CounterMetric(
      'kubelet_cpu_manager_pinning_requests_total',
      'The number of cpu core allocations which required pinning.',
    ),
    memory: new CounterMetric(
      'kubelet_memory_manager_pinning_requests_total',
      'The number of memory pages allocations which required pinning.',
    ),
  };
  readonly #pinFailures = {
    cpu: new CounterMetric(
      'kubelet_cpu_manager_pinning_errors_total',
      'The number of cpu core allocations which required pinning failed.',
    ),
    memory: new CounterMetric(
      'kubelet_memory_manager_pinning_errors_total',
      'The number of memory pages allocations which required pinning that failed.',
    ),
  };
  /** The kubelet tells of these where pods may have a pool of their own; here all is the node's. */
  readonly #grants = new CounterMetric(
    'resource_manager_allocations_total',
    'Number of exclusive resource allocations performed by a resource manager.',
  );
  readonly #grantFailures = new CounterMetric(
    'resource_manager_allocation_errors_total',
    'Number of errors encountered during exclusive resource allocation.',
  );
  readonly #assigned = new CounterMetric(
    'resource_manager_container_assignments',
    'Number of containers with a specific type of resource assignment.',
  );
  readonly #aligned = new CounterMetric(
    'kubelet_container_aligned_compute_resources_count',
    'Cumulative number of aligned compute resources allocated to containers by alignment type.',
  );
  readonly #misaligned = new CounterMetric(
    'kubelet_container_aligned_compute_resources_failure_count',
    'Cumulative number of failures to allocate aligned compute resources to containers by alignment type.',
  );

  /** Without options for a node where nobody has anything for himself: pods are counted, and the rest is 0. */
  constructor(options?: ExclusiveCountsOptions) {
    this.#options = options;
    const once = [this.#admissions, this.#refusals, ...Object.values(this.#pins), ...Object.values(this.#pinFailures)];
    for (const counter of once) counter.add({}, 0);
    if (!options) return;
    for (const counter of [this.#aligned, this.#misaligned]) {
      for (const scope of ['container', 'pod']) counter.add({ scope, boundary: 'numa_node' }, 0);
      counter.add({ scope: 'container', boundary: 'physical_cpu' }, 0);
    }
  }

  get all(): readonly Accumulator[] {
    return [
      ...[this.#admissions, this.#refusals, this.#took, this.#aligned, this.#misaligned],
      ...[...Object.values(this.#pins), ...Object.values(this.#pinFailures)],
      ...[this.#grants, this.#grantFailures, this.#assigned],
      ...this.#gauges(),
    ];
  }

  /** One pod is asked for what it wants; what runs was taken before, and what waits was counted when it came. */
  async admission(isKnown: boolean, ask: () => Promise<GrantOutcome>): Promise<GrantOutcome> {
    const began = performance.now();
    const outcome = await ask();
    if (isKnown) return outcome;
    this.#admissions.add({});
    this.#took.observe({}, performance.now() - began);
    if (outcome.kind === 'refused') this.#refusals.add({});
    return outcome;
  }

  /** Nodes are looked for; counted where the policy promises that there is one, once for what is placed together. */
  placed<T>(isFirst: boolean, place: () => T): T {
    const { scope = 'container', policy } = this.#options?.topology ?? {};
    if (policy !== 'single-numa-node' || (scope === 'pod' && !isFirst)) return place();
    return this.#counted({ scope, boundary: 'numa_node' }, place);
  }

  /** A container that wants some for itself is given them. */
  pinned(kind: 'cpu' | 'memory', wants: boolean, pin: () => void): void {
    if (!wants) return pin();
    this.#pins[kind].add({});
    const ofNode = { resource_name: kind, source: 'node' };
    try {
      if (kind === 'cpu' && this.#options?.wholeCores)
        this.#counted({ scope: 'container', boundary: 'physical_cpu' }, pin);
      else pin();
      this.#grants.add(ofNode);
      this.#assigned.add({ resource_name: kind, assignment_type: 'node_exclusive' });
    } catch (err) {
      this.#pinFailures[kind].add({});
      this.#grantFailures.add(ofNode);
      throw err;
    }
  }

  #counted<T>(labels: { readonly scope: string; readonly boundary: Boundary }, act: () => T): T {
    try {
      const result = act();
      this.#aligned.add(labels);
      return result;
    } catch (err) {
      this.#misaligned.add(labels);
      throw err;
    }
  }

  #gauges(): Accumulator[] {
    const { cpu, machine } = this.#options ?? {};
    const owned = (): ReadonlySet<number> => new Set(cpu?.owned());
    const one = (value: number): GaugeReading[] => [{ labels: {}, value }];
    return [
      new GaugeMetric(
        'kubelet_cpu_manager_shared_pool_size_millicores',
        'The size of the shared CPU pool for non-guaranteed QoS pods, in millicores.',
        () => one(((cpu?.allocatable().length ?? 0) - owned().size) * 1000),
      ),
      new GaugeMetric(
        'kubelet_cpu_manager_exclusive_cpu_allocation_count',
        'The total number of CPUs exclusively allocated to containers running on this node',
        () => one(owned().size),
      ),
      new GaugeMetric('kubelet_cpu_manager_allocation_per_numa', 'Number of CPUs allocated per NUMA node', () => {
        const taken = owned();
        if (!cpu || !machine) return [];
        return machine.numaNodes.map(({ id }) => ({
          labels: { numa_node: String(id) },
          value: machine.cpus.filter((each) => each.numaNode === id && taken.has(each.id)).length,
        }));
      }),
    ];
  }
}
