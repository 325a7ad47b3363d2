import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError, isCriCode } from '../contract/cri-error.js';
import type { RuntimeService } from '../contract/runtime-service.js';
import type { CriClient } from './cri-client.js';
import { listInPieces } from './list-in-pieces.js';
import { recordContainerConfig, recordObject, recordSandboxConfig, type RecordedRequest } from './recorded-request.js';
import { deadlines, type RemoteTimeouts } from './timeouts.js';

type Methods = v1.RuntimeServiceMethods;

/** Verbs that change something are recorded; questions are not: they are asked all the time and change nothing. */
export function remoteRuntimeService(client: CriClient<Methods>, timeouts: RemoteTimeouts): RuntimeService {
  const ordinary = { deadlineMs: deadlines.ordinary(timeouts) };
  const recorded = (record: RecordedRequest, deadlineMs: number | undefined = timeouts.requestMs) => ({
    deadlineMs,
    record,
  });
  const onSandbox = (r: { podSandboxId?: string | undefined }) => recorded(recordObject(r.podSandboxId, r));
  const onContainer = (r: { containerId?: string | undefined }) => recorded(recordObject(r.containerId, r));
  return {
    version: (r, s) => client.call('version', r, ordinary, s),
    status: (r, s) => client.call('status', r, ordinary, s),
    runtimeConfig: (r, s) => client.call('runtimeConfig', r, ordinary, s),
    updateRuntimeConfig: (r, s) => client.call('updateRuntimeConfig', r, recorded({ subject: {}, request: r }), s),

    runPodSandbox: (r, s) =>
      client.call('runPodSandbox', r, recorded(recordSandboxConfig(r), deadlines.runPodSandbox(timeouts)), s),
    stopPodSandbox: (r, s) => unlessGone(client.call('stopPodSandbox', r, onSandbox(r), s)),
    removePodSandbox: (r, s) => unlessGone(client.call('removePodSandbox', r, onSandbox(r), s)),
    podSandboxStatus: (r, s) => client.call('podSandboxStatus', r, ordinary, s),
    updatePodSandboxResources: (r, s) => client.call('updatePodSandboxResources', r, onSandbox(r), s),

    createContainer: (r, s) => client.call('createContainer', r, recorded(recordContainerConfig(r)), s),
    startContainer: (r, s) => client.call('startContainer', r, onContainer(r), s),
    stopContainer: (r, s) => {
      const options = recorded(recordObject(r.containerId, r), deadlines.stopContainer(timeouts, r));
      return unlessGone(client.call('stopContainer', r, options, s));
    },
    removeContainer: (r, s) => unlessGone(client.call('removeContainer', r, onContainer(r), s)),
    containerStatus: (r, s) => client.call('containerStatus', r, ordinary, s),
    updateContainerResources: (r, s) => client.call('updateContainerResources', r, onContainer(r), s),
    reopenContainerLog: (r, s) => client.call('reopenContainerLog', r, onContainer(r), s),
    async execSync(r, s) {
      const options = { deadlineMs: deadlines.execSync(timeouts, r), record: recordObject(r.containerId, r) };
      const answer = await client.call('execSync', r, options, s);
      if (ranOutOfTime(answer)) {
        throw criError('deadline-exceeded', `ExecSync: the command did not end within ${r.timeout ?? 0} s`);
      }
      return answer;
    },
    checkpointContainer: (r, s) =>
      client.call(
        'checkpointContainer',
        r,
        recorded(recordObject(r.containerId, r), deadlines.checkpointContainer(timeouts, r)),
        s,
      ),

    containerStats: (r, s) => client.call('containerStats', r, ordinary, s),
    podSandboxStats: (r, s) => client.call('podSandboxStats', r, ordinary, s),
    listMetricDescriptors: (r, s) => client.call('listMetricDescriptors', r, ordinary, s),
    ...lists(client, timeouts),
    containerEvents: (signal) => client.stream('getContainerEvents', {}, undefined, signal),
  };
}

/** CRI-O has an answer for it and no failure; no process ends with -1. */
function ranOutOfTime({ exitCode, stderr = new Uint8Array() }: v1.ExecSyncResponse): boolean {
  return exitCode === -1 && Buffer.from(stderr).toString('utf8') === 'command timed out';
}

/** Older runtimes (containerd 1.6) answer not-found where the contract has a success. */
async function unlessGone<T extends object>(call: Promise<T>): Promise<T | Record<string, never>> {
  try {
    return await call;
  } catch (err) {
    if (isCriCode(err, 'not-found')) return {};
    throw err;
  }
}

type Lists = Pick<
  RuntimeService,
  'listPodSandbox' | 'listContainers' | 'listContainerStats' | 'listPodSandboxStats' | 'listPodSandboxMetrics'
>;

function lists(client: CriClient<Methods>, timeouts: RemoteTimeouts): Lists {
  const ordinary = { deadlineMs: timeouts.requestMs };
  const { requestMs } = timeouts;
  return {
    listPodSandbox: async (r, s) => ({
      items: await listInPieces(
        'pod sandboxes',
        async () => (await client.call('listPodSandbox', r, ordinary, s)).items ?? [],
        () => pieces(client.stream('streamPodSandboxes', r, requestMs, s), (m) => m.podSandboxes),
      ),
    }),
    listContainers: async (r, s) => ({
      containers: await listInPieces(
        'containers',
        async () => (await client.call('listContainers', r, ordinary, s)).containers ?? [],
        () => pieces(client.stream('streamContainers', r, requestMs, s), (m) => m.containers),
      ),
    }),
    listContainerStats: async (r, s) => ({
      stats: await listInPieces(
        'container stats',
        async () => (await client.call('listContainerStats', r, ordinary, s)).stats ?? [],
        () => pieces(client.stream('streamContainerStats', r, requestMs, s), (m) => m.containerStats),
      ),
    }),
    listPodSandboxStats: async (r, s) => ({
      stats: await listInPieces(
        'pod sandbox stats',
        async () => (await client.call('listPodSandboxStats', r, ordinary, s)).stats ?? [],
        () => pieces(client.stream('streamPodSandboxStats', r, requestMs, s), (m) => m.podSandboxStats),
      ),
    }),
    listPodSandboxMetrics: async (r, s) => ({
      podMetrics: await listInPieces(
        'pod sandbox metrics',
        async () => (await client.call('listPodSandboxMetrics', r, ordinary, s)).podMetrics ?? [],
        () => pieces(client.stream('streamPodSandboxMetrics', r, requestMs, s), (m) => m.podSandboxMetrics),
      ),
    }),
  };
}

export async function* pieces<M, T>(
  messages: AsyncIterable<M>,
  items: (message: M) => readonly T[] | undefined,
): AsyncGenerator<readonly T[]> {
  for await (const message of messages) yield items(message) ?? [];
}
