import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RuntimeService } from '../../cri/index.js';
import { kubeVersion } from '../config/agent-config.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { grpcHealth } from '../probes/grpc-health.js';
import { httpGet } from '../probes/http-get.js';
import { PodProbes } from '../probes/pod-probes.js';
import type { ProbeRecord } from '../probes/probe-record.js';
import { runProbe } from '../probes/run-probe.js';
import type { AgentMetrics } from '../serving/metrics/index.js';

export interface ProbeParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly runtime: RuntimeService;
  readonly metrics: AgentMetrics;
  readonly startedAt: number;
  readonly record: ProbeRecord;
}

/** The probes of all pods, with the ways to reach their containers. */
export function wireProbes({ clock, log, events, runtime, metrics, startedAt, record }: ProbeParts): PodProbes {
  const userAgent = `kube-probe/${kubeVersion}`;
  return new PodProbes({
    clock,
    log,
    events,
    agentStartedAt: startedAt,
    record,
    random: () => Math.random(),
    run: (request, asked) =>
      runProbe(
        request,
        {
          runtime,
          httpGet,
          kubeVersion,
          grpcHealth: (address, port, service, signal) => grpcHealth(address, port, service, userAgent, signal),
        },
        asked,
      ),
    counted: (kind, outcome, pod, container, seconds) => metrics.probe(kind, outcome.result, pod, container, seconds),
  });
}
