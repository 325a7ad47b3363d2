import type { Agent } from '../../../agent.js';
import { podKey, type ContainerStatus, type Pod, type PodStatus } from '../../../api/index.js';
import { LogFiles, podLogFolder, readContainerLog } from '../../../logs/index.js';
import { errnoOf } from '../../../../base/errors.js';
import { basename } from 'node:path';
import { ApiError } from '../api-error.js';
import type { List, PodView, WatchLine } from '../contract.js';
import { chooseLogInstance } from '../log-instance.js';
import { podView, requireContainer, requirePod } from '../pod-view.js';
import { flag, value, wholeNumber, type Answer, type ApiRequest, type CallRoute } from '../route.js';
import { lineStream } from '../watch-lines.js';

export function podRoutes(agent: Agent): CallRoute[] {
  return [
    { method: 'GET', path: '/v1/pods', handle: ({ query }) => listPods(agent, query) },
    {
      method: 'GET',
      path: '/v1/pods/{namespace}/{name}',
      handle: ({ params }) => value(podView(agent, requirePod(agent, params))),
    },
    { method: 'GET', path: '/v1/pods/{namespace}/{name}/log', handle: (request) => podLog(agent, request) },
    {
      method: 'POST',
      path: '/v1/pods/{namespace}/{name}/retry',
      handle: ({ params }) => value({ retrying: agent.retryNow(requirePod(agent, params).uid) }),
    },
  ];
}

function listPods(agent: Agent, query: URLSearchParams): Answer {
  const namespace = query.get('namespace');
  const name = query.get('name');
  const wanted = ({ pod }: PodView): boolean =>
    (namespace === null || pod.metadata?.namespace === namespace) && (name === null || pod.metadata?.name === name);
  const all = (): PodView[] =>
    agent
      .pods()
      .map((found) => podView(agent, found))
      .filter(wanted)
      .toSorted(byKey);
  if (!flag(query, 'watch')) return value({ items: all() } satisfies List<PodView>);
  return lineStream((sink) => {
    const shown = new Map<string, PodView>();
    const show = (view: PodView): void => {
      const uid = view.pod.metadata?.uid ?? '';
      const type = shown.has(uid) ? 'MODIFIED' : 'ADDED';
      shown.set(uid, view);
      sink.line({ type, object: view } satisfies WatchLine<PodView>);
    };
    all().forEach(show);
    sink.line({ type: 'SYNCED' } satisfies WatchLine<PodView>);
    return agent.onPodChange(({ uid }) => {
      // What the pod is now: the listener is also told of one that has just gone.
      const found = agent.pod(uid);
      const last = shown.get(uid);
      if (found) {
        const view = podView(agent, found);
        if (wanted(view)) show(view);
      } else if (last) {
        shown.delete(uid);
        sink.line({ type: 'DELETED', object: last } satisfies WatchLine<PodView>);
      }
    });
  });
}

const byKey = (a: PodView, b: PodView): number => podKey(a.pod).localeCompare(podKey(b.pod));

async function podLog(agent: Agent, { params, query }: ApiRequest): Promise<Answer> {
  const { pod, status, observed, uid } = requirePod(agent, params);
  const name = query.get('container') ?? defaultContainer(pod);
  requireContainer(pod, name);
  const question = { pod: params.name ?? '', container: name, status: statusOf(status, name), observed };
  const { attempt, containerId } = chooseLogInstance({ ...question, previous: flag(query, 'previous') });
  const { podLogsDir } = agent.config.paths;
  const place = { podLogsDir, podFolder: basename(podLogFolder(podLogsDir, pod)), container: name, attempt };
  const instance = () => agent.pod(uid)?.observed?.containers.find((each) => each.containerId === containerId);
  if (instance() === undefined && (await LogFiles.areGone(place)))
    throw new ApiError('NotFound', `the log of container "${name}" in pod "${params.name ?? ''}" was removed with it`);
  const ended = (): boolean => {
    const now = instance();
    return now === undefined || now.state === 'exited';
  };
  const options = {
    tailLines: wholeNumber(query, 'tailLines'),
    limitBytes: wholeNumber(query, 'limitBytes', 1),
    sinceMs: sinceOf(query),
    timestamps: flag(query, 'timestamps'),
    stream: streamOf(query),
    follow: flag(query, 'follow') ? { ended } : undefined,
  };
  return {
    kind: 'stream',
    contentType: 'text/plain; charset=utf-8',
    write: async (out, signal) => {
      try {
        await readContainerLog(place, options, out, signal);
      } catch (err) {
        // A container that never wrote has no file.
        if (errnoOf(err) !== 'ENOENT') throw err;
      }
    },
  };
}

/** The one kubectl would take: named by annotation, else the first. */
export function defaultContainer(pod: Pod): string {
  return pod.metadata?.annotations?.['kubectl.kubernetes.io/default-container'] ?? pod.spec?.containers[0]?.name ?? '';
}

export function statusOf(status: PodStatus | undefined, container: string): ContainerStatus | undefined {
  const all = [status?.containerStatuses, status?.initContainerStatuses, status?.ephemeralContainerStatuses];
  return all.flatMap((each) => each ?? []).find((each) => each.name === container);
}

function sinceOf(query: URLSearchParams): number | undefined {
  const seconds = wholeNumber(query, 'sinceSeconds', 1);
  const time = query.get('sinceTime');
  if (seconds !== undefined && time !== null)
    throw new ApiError('BadRequest', 'read sinceSeconds and sinceTime: only one of them may be given');
  if (seconds !== undefined) return Date.now() - seconds * 1000;
  if (time === null) return undefined;
  const instant = Date.parse(time);
  if (Number.isNaN(instant) || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.test(time))
    throw new ApiError('BadRequest', `read sinceTime: ${JSON.stringify(time)} is no RFC 3339 time`);
  return instant;
}

function streamOf(query: URLSearchParams): 'stdout' | 'stderr' | undefined {
  const stream = query.get('stream') ?? 'all';
  if (stream.toLowerCase() === 'all') return undefined;
  if (stream.toLowerCase() === 'stdout') return 'stdout';
  if (stream.toLowerCase() === 'stderr') return 'stderr';
  throw new ApiError('BadRequest', `read stream: ${JSON.stringify(stream)} is none of All, Stdout, Stderr`);
}
