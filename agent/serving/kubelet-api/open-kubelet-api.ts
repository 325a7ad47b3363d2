import type { AddressInfo } from 'node:net';
import { systemClock, type Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import type { Agent } from '../../agent.js';
import { Lifetimes } from '../../lifetimes.js';
import type { MetricsStore } from '../metrics/index.js';
import { apiHandlers } from './api-handlers.js';
import { Authenticator, Authorizer, type AccessReviews } from './auth/index.js';
import { KubeletApiServer } from './kubelet-api-server.js';
import { RequestMetrics } from './request-metrics.js';
import type { KubeletApiSettings } from './settings.js';
import { WatchedMaterial } from './tls/watched-material.js';
import { agentUsageReports, type UsageReports } from './usage-reports.js';

export interface KubeletApiDeps {
  readonly log: Logger;
  readonly clock?: Clock | undefined;
  readonly metrics: MetricsStore;
  /** Whom tokens and permissions are asked of; undefined without a cluster. */
  readonly reviews: AccessReviews | undefined;
  /** The agent's own look at cgroups and disks when absent. */
  readonly usage?: UsageReports | undefined;
}

/** The kubelet's HTTPS API of a running agent. */
export interface KubeletApi extends AsyncDisposable {
  /** Undefined while it does not listen. */
  readonly address: AddressInfo | undefined;
  /** Resolves when it listens for the first time, or is disposed before. */
  readonly listening: Promise<void>;
}

const retryMs = 5000;

/** Returns at once; a certificate that is missing or a port that is taken is tried for again, and is no reason not to run pods. */
export function openKubeletApi(settings: KubeletApiSettings, agent: Agent, deps: KubeletApiDeps): KubeletApi {
  const { clock = systemClock, reviews, metrics } = deps;
  const log = deps.log.child({ server: 'kubelet-api' });
  const stop = new AbortController();
  const lifetime = stop.signal;
  const owned = new Lifetimes();
  const requests = new RequestMetrics();
  const usage = deps.usage ?? lazyUsage(agent, { clock, log }, lifetime);
  const server: KubeletApiServer = owned.use(
    new KubeletApiServer(settings, {
      log,
      metrics: requests,
      handlers: apiHandlers(settings, {
        host: agent,
        clock,
        log,
        usage,
        snapshots: () => [...metrics.snapshots(), ...requests.snapshots()],
      }),
      authenticator: new Authenticator(
        settings.authentication,
        { clock, log, reviews, certificateOf: (request) => server.certificateOf(request) },
        lifetime,
      ),
      authorizer: new Authorizer(agent.config.nodeName, settings.authorization, { clock, log, reviews }, lifetime),
    }),
  );
  let usable = (): void => {};
  const hasMaterial = new Promise<void>((resolve) => (usable = resolve));
  const material = owned.use(
    new WatchedMaterial(
      {
        tls: settings.tls,
        clientCaFile: settings.authentication.clientCaFile,
        nodeName: agent.config.nodeName,
        addresses: agent.host.addresses,
      },
      { clock, log },
      (next) => {
        try {
          server.use(next);
          usable();
        } catch (err) {
          log.error({ err: errorText(err) }, 'certificates cannot be used');
        }
      },
    ),
  );
  lifetime.addEventListener('abort', () => usable(), { once: true });

  const listening = start();
  return {
    get address() {
      return server.address;
    },
    listening,
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException('the agent stops', 'AbortError'));
      await listening;
      await owned[Symbol.asyncDispose]();
    },
  };

  async function start(): Promise<void> {
    await material.start();
    await hasMaterial;
    const { address, port } = settings;
    while (!lifetime.aborted) {
      try {
        await server.listen();
        log.info({ address, port }, 'the kubelet API listens');
        return;
      } catch (err) {
        log.warn({ address, port, err: errorText(err), retryInMs: retryMs }, 'the kubelet API cannot listen');
        await clock.sleep(retryMs, lifetime).catch(() => {});
      }
    }
  }
}

/** Made at the first question: most nodes of one machine are never asked. */
function lazyUsage(agent: Agent, deps: { clock: Clock; log: Logger }, lifetime: AbortSignal): UsageReports {
  let made: Promise<UsageReports> | undefined;
  const reports = (): Promise<UsageReports> => {
    made ??= agentUsageReports(agent, deps, lifetime).catch((err: unknown) => {
      made = undefined;
      throw err;
    });
    return made;
  };
  return {
    summary: async (only, signal) => await (await reports()).summary(only, signal),
    cadvisor: async (signal) => await (await reports()).cadvisor(signal),
    resource: async (signal) => await (await reports()).resource(signal),
  };
}
