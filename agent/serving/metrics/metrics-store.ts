import { podUidOf, type Pod } from '../../api/index.js';
import type { Agent, AgentPod } from '../../agent.js';
import {
  CounterMetric,
  GaugeMetric,
  HistogramMetric,
  type Accumulator,
  type GaugeReading,
  type MetricSnapshot,
} from './accumulators.js';
import type { PluginCall } from '../../../base/call-recorder.js';
import type { PodResourcesMethod } from '../../../deviceplugin/index.js';
import type { AgentMetrics } from './agent-metrics.js';
import { PluginMetrics } from './plugin-metrics.js';
import { staticLabel } from './pod-kinds.js';
import { podGauges, PodMetrics } from './pod-metrics.js';
import { processGauges } from './process-metrics.js';
import { startupGauges } from './startup-metrics.js';
import { WorkMetrics } from './work-metrics.js';

/** The kubelet's buckets. */
const callSeconds = Array.from({ length: 14 }, (_, power) => 0.005 * 2.5 ** power);
const probeSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const probeTypes = { startup: 'Startup', readiness: 'Readiness', liveness: 'Liveness' } as const;
const probeResults = { success: 'successful', warning: 'successful', failure: 'failed' } as const;

/** Everything the agent counts, under the kubelet's names where it has one (facts 16). */
export class MetricsStore implements AgentMetrics {
  readonly #operations = new CounterMetric('kubelet_runtime_operations_total', 'Calls of the container runtime.');
  readonly #operationErrors = new CounterMetric(
    'kubelet_runtime_operations_errors_total',
    'Failed calls of the container runtime.',
  );
  readonly #operationSeconds = new HistogramMetric(
    'kubelet_runtime_operations_duration_seconds',
    'How long calls of the container runtime took.',
    callSeconds,
  );
  readonly #sandboxSeconds = new HistogramMetric(
    'kubelet_run_podsandbox_duration_seconds',
    'How long making sandboxes took.',
    probeSeconds,
  );
  readonly #sandboxErrors = new CounterMetric(
    'kubelet_run_podsandbox_errors_total',
    'Sandboxes that could not be made.',
  );
  readonly #startedPods = new CounterMetric('kubelet_started_pods_total', 'Sandboxes asked for.');
  readonly #startedPodErrors = new CounterMetric(
    'kubelet_started_pods_errors_total',
    'Sandboxes that could not be made.',
  );
  readonly #probes = new CounterMetric('prober_probe_total', 'Probes by result.');
  readonly #probeSeconds = new HistogramMetric('prober_probe_duration_seconds', 'How long probes took.', probeSeconds);
  readonly #evictions = new CounterMetric('kubelet_evictions', 'Cumulative number of pod evictions by eviction signal');
  readonly #evictionStatsAge = new HistogramMetric(
    'kubelet_eviction_stats_age_seconds',
    'Time between when stats are collected, and when pod is evicted based on those stats by eviction signal',
    probeSeconds,
  );
  readonly #plugins = new PluginMetrics();
  readonly #pods = new PodMetrics(Date.now);
  readonly work = new WorkMetrics();
  readonly #gauges: Accumulator[] = [];

  runtimeOperation(operation: string, seconds: number, failed: boolean, runtimeHandler = ''): void {
    const labels = { operation_type: operation };
    this.#operations.add(labels);
    this.#operationSeconds.observe(labels, seconds);
    if (failed) this.#operationErrors.add(labels);
    if (operation === 'run_podsandbox') {
      this.#startedPods.add({});
      this.#sandboxSeconds.observe({ runtime_handler: runtimeHandler }, seconds);
      if (failed) this.#startedPodErrors.add({});
      if (failed) this.#sandboxErrors.add({ runtime_handler: runtimeHandler });
    }
  }

  probe(
    kind: keyof typeof probeTypes,
    result: keyof typeof probeResults,
    pod: Pod,
    container: string,
    seconds: number,
  ): void {
    const { name = '', namespace = 'default' } = pod.metadata ?? {};
    const labels = { probe_type: probeTypes[kind], container, pod: name, namespace };
    this.#probes.add({ ...labels, result: probeResults[result], pod_uid: podUidOf(pod) });
    this.#probeSeconds.observe(labels, seconds);
  }

  pluginCall(call: PluginCall, seconds: number, code: string | undefined): void {
    this.#plugins.call(call, seconds, code);
  }

  claimsHandled(operation: 'PrepareResources' | 'UnprepareResources', seconds: number, failed: boolean): void {
    this.#plugins.claimsHandled(operation, seconds, failed);
  }

  podResourcesRequest(method: PodResourcesMethod, version: 'v1' | 'v1alpha1', failed: boolean): void {
    this.#plugins.podResourcesRequest(method, version, failed);
  }

  storageOperation(operation: string, plugin: string, seconds: number, failed: boolean): void {
    this.#plugins.storageOperation(operation, plugin, seconds, failed);
  }

  evicted(signal: string, statsAgeSeconds: number): void {
    this.#evictions.add({ eviction_signal: signal });
    this.#evictionStatsAge.observe({ eviction_signal: signal }, statsAgeSeconds);
  }

  gauge(name: string, help: string, read: () => readonly GaugeReading[]): void {
    this.#gauges.push(new GaugeMetric(name, help, read));
  }

  add(counts: readonly Accumulator[]): void {
    this.#gauges.push(...counts);
  }

  /** Reads the agent's own numbers from now on; ends with it. */
  watch(agent: Agent): Disposable {
    const { counts = [] } = agent.controlPlane;
    const pods = (): ReturnType<Agent['pods']> => agent.pods();
    this.#gauges.push(...agentGauges(agent), ...podGauges(pods), ...processGauges(), ...counts);
    this.#gauges.push(
      ...startupGauges(
        agent,
        () => this.work.registration,
        () => this.#pods.nodeReadyAt,
      ),
    );
    const changes = agent.onPodChange((pod) => this.#podChanged(pod));
    const events = agent.onEvent((event) => this.#pods.event(event));
    return {
      [Symbol.dispose]: () => {
        changes[Symbol.dispose]();
        events[Symbol.dispose]();
      },
    };
  }

  snapshots(): MetricSnapshot[] {
    const all: Accumulator[] = [
      this.#operations,
      this.#operationErrors,
      this.#operationSeconds,
      this.#sandboxSeconds,
      this.#sandboxErrors,
      this.#startedPods,
      this.#startedPodErrors,
      ...this.work.all,
      this.#probes,
      this.#probeSeconds,
      this.#evictions,
      this.#evictionStatsAge,
      ...this.#plugins.all(),
      ...this.#pods.all,
      ...this.#gauges,
    ];
    return joined(all.map((each) => each.snapshot()));
  }

  #podChanged(pod: AgentPod): void {
    const { uid, desired, observed } = pod;
    if (!desired && !observed) this.#probes.forget(({ pod_uid }) => pod_uid === uid);
    this.#pods.changed(pod);
  }
}

function agentGauges(agent: Agent): GaugeMetric[] {
  const one = (value: number): { labels: Record<string, string>; value: number }[] => [{ labels: {}, value }];
  return [
    new GaugeMetric('kubelet_node_name', "The node's name.", () => [
      { labels: { node: agent.config.nodeName }, value: 1 },
    ]),
    new GaugeMetric('kubelet_running_pods', 'Pods with a ready sandbox.', () =>
      one(agent.pods().filter(({ observed }) => observed?.sandboxes.some(({ ready }) => ready)).length),
    ),
    new GaugeMetric('kubelet_pleg_last_seen_seconds', 'Timestamp in seconds when PLEG was last seen active.', () => {
      const { ready, trouble } = agent.runtimeHealth;
      // While the runtime tells what happens, pods are watched all the time.
      return one(Math.floor((ready ? Date.now() : (trouble?.since ?? agent.startedAt)) / 1000));
    }),
    new GaugeMetric('kubelet_running_containers', 'Containers by state.', () => {
      const states = agent.pods().flatMap(({ observed }) => observed?.containers.map(({ state }) => state) ?? []);
      return (['created', 'running', 'exited', 'unknown'] as const).map((state) => ({
        labels: { container_state: state },
        value: states.filter((each) => each === state).length,
      }));
    }),
    new GaugeMetric('kubelet_desired_pods', 'Pods the sources want.', () => {
      const pods = agent.pods().flatMap(({ desired }) => desired ?? []);
      return [
        { labels: { static: staticLabel(true) }, value: pods.filter((pod) => pod.static).length },
        { labels: { static: staticLabel(false) }, value: pods.filter((pod) => !pod.static).length },
      ];
    }),
    new GaugeMetric('kubelet_active_pods', 'Pods that are wanted and have not ended.', () => {
      const pods = agent.pods().flatMap(({ desired }) => (desired && !desired.termination ? [desired] : []));
      return [
        { labels: { static: staticLabel(true) }, value: pods.filter((pod) => pod.static).length },
        { labels: { static: staticLabel(false) }, value: pods.filter((pod) => !pod.static).length },
      ];
    }),
    new GaugeMetric('berth_waiting_pods', 'Pods that wait for a step, by step.', () => {
      const counts = new Map<string, number>();
      for (const { waits } of agent.pods()) {
        const step = waits[0]?.step;
        if (step) counts.set(step, (counts.get(step) ?? 0) + 1);
      }
      return [...counts].map(([step, value]) => ({ labels: { step }, value }));
    }),
  ];
}

/** Parts of the agent may each know some series of one metric. */
function joined(snapshots: readonly MetricSnapshot[]): MetricSnapshot[] {
  const byName = new Map<string, MetricSnapshot>();
  for (const each of snapshots) {
    const known = byName.get(each.name);
    byName.set(each.name, known ? { ...known, values: [...known.values, ...each.values] } : each);
  }
  return [...byName.values()];
}
