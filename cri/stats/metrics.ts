import type * as v1 from '../../proto/generated/cri-v1.js';
import type { InterfaceCounters } from '../../base/net-dev.js';
import { containerMetrics, type MetricSource } from './container-metrics.js';

const labelKeys = ['id', 'name', 'image', 'container', 'pod', 'namespace'] as const;

interface NetworkMetric {
  readonly name: string;
  readonly help: string;
  readonly value: (counters: InterfaceCounters) => number;
}

const networkMetric = (name: string, help: string, value: (counters: InterfaceCounters) => number): NetworkMetric => ({
  name: `container_network_${name}_total`,
  help: `Cumulative count of ${help}`,
  value,
});

const networkMetrics: readonly NetworkMetric[] = [
  networkMetric('receive_bytes', 'bytes received', ({ rxBytes }) => rxBytes),
  networkMetric('receive_packets', 'packets received', ({ rxPackets }) => rxPackets),
  networkMetric('receive_packets_dropped', 'packets dropped while receiving', ({ rxDropped }) => rxDropped),
  networkMetric('receive_errors', 'errors encountered while receiving', ({ rxErrors }) => rxErrors),
  networkMetric('transmit_bytes', 'bytes transmitted', ({ txBytes }) => txBytes),
  networkMetric('transmit_packets', 'packets transmitted', ({ txPackets }) => txPackets),
  networkMetric('transmit_packets_dropped', 'packets dropped while transmitting', ({ txDropped }) => txDropped),
  networkMetric('transmit_errors', 'errors encountered while transmitting', ({ txErrors }) => txErrors),
];

export function metricDescriptors(): v1.MetricDescriptor[] {
  return [
    ...containerMetrics.map((metric) => ({
      name: metric.name,
      help: metric.help,
      labelKeys: [...labelKeys, ...metric.labelKeys],
    })),
    ...networkMetrics.map(({ name, help }) => ({ name, help, labelKeys: [...labelKeys, 'interface'] })),
  ];
}

export interface MeasuredSandbox {
  readonly id: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
}

/** `processes` of the whole pod, where they are counted. */
export function podMetrics(
  sandbox: MeasuredSandbox,
  processCount: number | undefined,
  interfaces: readonly InterfaceCounters[],
  containers: readonly MetricSource[],
  timestamp: number,
): v1.PodSandboxMetrics {
  const { name: pod, namespace } = sandbox.metadata;
  const podLabels = [sandbox.id, pod, '', 'POD', pod, namespace];
  const network = interfaces.flatMap((counters) =>
    networkMetrics.map((metric): v1.Metric => ({
      name: metric.name,
      timestamp,
      metricType: 'COUNTER',
      labelValues: [...podLabels, counters.name],
      value: { value: metric.value(counters) },
    })),
  );
  const processes: v1.Metric[] =
    processCount === undefined
      ? []
      : [
          {
            name: 'container_processes',
            timestamp,
            metricType: 'GAUGE',
            labelValues: podLabels,
            value: { value: processCount },
          },
        ];
  return {
    podSandboxId: sandbox.id,
    metrics: [...network, ...processes],
    containerMetrics: containers.map((source) => containerMetricSet(source, pod, namespace, timestamp)),
  };
}

function containerMetricSet(
  source: MetricSource,
  pod: string,
  namespace: string,
  timestamp: number,
): v1.ContainerMetrics {
  const { record } = source;
  const image = record.image.userSpecifiedImage || record.image.image || record.imageId;
  const own = [record.id, record.metadata.name, image, record.metadata.name, pod, namespace];
  const metrics = containerMetrics.flatMap(({ name, type, samples }) =>
    samples(source).flatMap(([value, ...labels]): v1.Metric[] =>
      value === undefined
        ? []
        : [{ name, timestamp, metricType: type, labelValues: [...own, ...labels], value: { value } }],
    ),
  );
  return { containerId: record.id, metrics };
}
