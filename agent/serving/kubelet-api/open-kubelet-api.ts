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
import { ReadOnlyServer } from './read-only-server.js';
import { RequestMetrics } from './request-metrics.js';
import type { KubeletApiSettings } from './settings.js';
import { WatchedMaterial } from './tls/watched-material.js';
import { usageReports, type UsageReports } from './usage-reports.js';

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
  /** Where it is served without credentials; undefined where it is not, or not yet. */
  readonly readOnlyAddress: AddressInfo | undefined;
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
  const usage = deps.usage ?? usageReports(agent.stats);
  const handlers = apiHandlers(settings, {
    ...{ clock, log, usage },
    host: agent,
    startedAt: agent.startedAt,
    snapshots: () => [...metrics.snapshots(), ...requests.snapshots()],
  });
  const readOnly = settings.readOnlyPort > 0 ? owned.use(new ReadOnlyServer({ handlers })) : undefined;
  const server: KubeletApiServer = owned.use(
    new KubeletApiServer(settings, {
      ...{ log, handlers },
      metrics: requests,
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
        addresses: () => agent.host.addresses,
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

  const { address, port, readOnlyPort } = settings;
  const listening = Promise.all([
    start(),
    readOnly && listen(readOnlyPort, () => readOnly.listen(address, readOnlyPort)),
  ]).then(() => {});
  return {
    get address() {
      return server.address;
    },
    listening,
    get readOnlyAddress() {
      return readOnly?.address;
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException('the agent stops', 'AbortError'));
      await listening;
      await owned[Symbol.asyncDispose]();
    },
  };

  async function start(): Promise<void> {
    await material.start();
    await hasMaterial;
    await listen(port, () => server.listen());
  }

  async function listen(wanted: number, attempt: () => Promise<void>): Promise<void> {
    while (!lifetime.aborted) {
      try {
        await attempt();
        log.info({ address, port: wanted }, 'the kubelet API listens');
        return;
      } catch (err) {
        const told = { address, port: wanted, err: errorText(err), retryInMs: retryMs };
        log.warn(told, 'the kubelet API cannot listen');
        await clock.sleep(retryMs, lifetime).catch(() => {});
      }
    }
  }
}
