import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { Agent } from '../agent.js';
import type { AgentConfig } from '../config/agent-config.js';
import { prepareRunFolder } from '../node/run-folder.js';
import { Lifetimes } from '../lifetimes.js';
import { HealthzServer } from './healthz/healthz-server.js';
import { kubeletApiSettings } from './kubelet-api/settings-of-config.js';
import type { MetricsStore } from './metrics/index.js';
import { claimSocket, NodeApiServer, nodeApiRoutes } from './node-api/index.js';

export interface ServingDeps {
  readonly log: Logger;
  readonly metrics: MetricsStore;
}

/** What the agent is asked through. Opened before the agent: whoever holds the socket is the agent of these folders. */
export interface Serving extends AsyncDisposable {
  /** From now on calls are answered; until then they are told that the agent starts. */
  serve(agent: Agent): void;
}

/** Claims the node API's socket, so that a second agent is refused before it touches anything, and answers `/healthz`. */
export async function openServing(config: AgentConfig, { log, metrics }: ServingDeps): Promise<Serving> {
  await using opening = new Lifetimes();
  const api = opening.use(new NodeApiServer({ log }));
  await prepareRunFolder(config, new AbortController().signal);
  await claimSocket(api.http, config.serving.socketPath);
  const { healthzAddress, healthzPort } = config.serving;
  const healthz = opening.use(
    new HealthzServer({ address: healthzAddress, port: healthzPort }, { log, clock: systemClock, metrics }),
  );
  // Archives on their way in or out when an earlier agent was killed.
  await rm(join(config.paths.stateDir, 'transfers'), { recursive: true, force: true });
  healthz.start();
  const settings = kubeletApiSettings(config);
  const kubeletApi = settings && (await import('./kubelet-api/index.js'));
  const owned = opening.release();
  return {
    serve: (agent) => {
      owned.use(metrics.watch(agent));
      api.serve(nodeApiRoutes(agent));
      if (!settings || !kubeletApi) return;
      const reviews = kubeletApi.reviewsOf(agent.controlPlane);
      owned.use(kubeletApi.openKubeletApi(settings, agent, { log, metrics, reviews }));
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}
