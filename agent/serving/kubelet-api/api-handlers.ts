import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { Pod } from '../../api/index.js';
import type { AgentConfig } from '../../config/agent-config.js';
import type { MetricSnapshot } from '../metrics/accumulators.js';
import { HttpError } from './http-error.js';
import { sendJson, type CallHandlers, type StreamHandlers } from './handlers/call.js';
import { checkpoint } from './handlers/checkpoint.js';
import { kubeletConfiguration } from './handlers/configz.js';
import { containerLogs } from './handlers/container-logs.js';
import type { Host } from './handlers/find-pod.js';
import { healthz, type HealthCheck } from './handlers/health.js';
import { metricsHandlers } from './handlers/metrics.js';
import { nodeLogs } from './handlers/node-logs.js';
import { desiredPods, runningPods } from './handlers/pod-lists.js';
import { run } from './handlers/run.js';
import { streamHandlers } from './handlers/streams.js';
import { flagz, statusz } from './handlers/z-pages.js';
import type { KubeletApiSettings } from './settings.js';
import type { UsageReports } from './usage-reports.js';

export interface ApiHandlersDeps {
  readonly host: Host;
  readonly clock: Clock;
  readonly log: Logger;
  readonly usage: UsageReports;
  /** When the agent started, ms. */
  readonly startedAt: number;
  readonly snapshots: () => readonly MetricSnapshot[];
}

/** One handler per route; a route without one does not compile. */
export interface ApiHandlers {
  readonly calls: CallHandlers;
  readonly streams: StreamHandlers;
}

const mountsClaim = ({ spec }: Pod): boolean =>
  spec?.volumes?.some((each) => each.persistentVolumeClaim !== undefined || each.ephemeral !== undefined) === true;

function healthChecks({ devices, paths }: AgentConfig): readonly HealthCheck[] {
  // The process answers, so its one thread neither hangs in a log nor in a loop.
  const alive = ['ping', 'log', 'syncloop'].map((name): HealthCheck => ({ name, problem: () => undefined }));
  const socket = join(paths.rootDir, 'device-plugins', 'kubelet.sock');
  const problem = (): string | undefined =>
    !devices.enabled || existsSync(socket) ? undefined : `device plugins cannot register: ${socket} is missing`;
  return [...alive, { name: 'device-plugin', problem }];
}

export function apiHandlers(settings: KubeletApiSettings, deps: ApiHandlersDeps): ApiHandlers {
  const { host, clock, log, usage, snapshots } = deps;
  const disabled = (what: string) => (): never => {
    throw new HttpError(405, `${what} endpoint is disabled.`);
  };
  const { systemLogHandler: enabled, systemLogQuery, nodeLogDir: dir } = settings;
  const checks = healthChecks(host.config);
  return {
    streams: streamHandlers(host, log),
    calls: {
      ...metricsHandlers({
        snapshots,
        usage,
        checks,
        hasClaims: () => host.pods().some(({ pod }) => pod && mountsClaim(pod)),
      }),
      healthz: healthz(checks),
      pods: desiredPods(host),
      runningPods: runningPods(host),
      containerLogs: containerLogs(host, clock),
      run: run(host),
      configz: (_call, response) => sendJson(response, { kubeletconfig: kubeletConfiguration(host.config, settings) }),
      nodeLogs: nodeLogs({ enabled, dir, query: systemLogQuery }),
      statusz: statusz({ startedAt: deps.startedAt, now: () => clock.now() }),
      flagz: flagz(process.argv.slice(2)),
      checkpoint: checkpoint(host),
      profiling: disabled('profiling'),
      debugFlags: disabled('flags'),
    },
  };
}
