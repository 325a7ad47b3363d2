import type { Agent } from '../../../agent.js';
import type { Event } from '../../../api/index.js';
import type { RecordedCall } from '../../../recorder/recorded-call.js';
import type { List, PodExplanation, WatchLine } from '../contract.js';
import { findPod, podView } from '../pod-view.js';
import { flag, value, wholeNumber, type Answer, type CallRoute } from '../route.js';
import { lineStream } from '../watch-lines.js';

/** What happened: events, recorded calls, how manifests were read, and all of it for one pod. */
export function observationRoutes(agent: Agent): CallRoute[] {
  return [
    { method: 'GET', path: '/v1/events', handle: ({ query }) => events(agent, query) },
    { method: 'GET', path: '/v1/calls', handle: ({ query }, signal) => calls(agent, query, signal) },
    { method: 'GET', path: '/v1/manifests', handle: () => value({ items: agent.manifests() }) },
    {
      method: 'POST',
      path: '/v1/manifests/rescan',
      handle: () => {
        agent.rescan();
        return value({ rescanning: true });
      },
    },
    {
      method: 'GET',
      path: '/v1/pods/{namespace}/{name}/why',
      handle: ({ params }) => value(explanation(agent, params.namespace ?? '', params.name ?? '')),
    },
  ];
}

function events(agent: Agent, query: URLSearchParams): Answer {
  const [namespace, name, type] = [query.get('namespace'), query.get('name'), query.get('type')];
  const wanted = ({ involvedObject, metadata, type: own }: Event): boolean =>
    (namespace === null || (involvedObject.namespace ?? metadata.namespace) === namespace) &&
    (name === null || involvedObject.name === name) &&
    (type === null || own === type);
  if (!flag(query, 'watch')) return value({ items: agent.events().filter(wanted) } satisfies List<Event>);
  return lineStream((sink) => {
    const line = (event: Event): void => {
      if (!wanted(event)) return;
      const type = (event.count ?? 1) > 1 ? 'MODIFIED' : 'ADDED';
      sink.line({ type, object: event } satisfies WatchLine<Event>);
    };
    if (!flag(query, 'watchOnly')) agent.events().forEach(line);
    sink.line({ type: 'SYNCED' } satisfies WatchLine<Event>);
    return agent.onEvent(line);
  });
}

/** Of earlier runs no more than this: what a person reads, not an export of the record. */
const mostEarlier = 1000;

async function calls(agent: Agent, query: URLSearchParams, signal: AbortSignal): Promise<Answer> {
  const wanted = callFilter(agent, query);
  const last = wholeNumber(query, 'last');
  const list = (): RecordedCall[] => {
    const found = agent.calls.list(wanted);
    return last === undefined ? found : found.slice(Math.max(found.length - last, 0));
  };
  if (!flag(query, 'watch')) {
    const own = list();
    const more = flag(query, 'earlier') ? Math.max((last ?? mostEarlier) - own.length, 0) : 0;
    const before = more === 0 ? [] : await agent.calls.earlier(wanted, Math.min(more, mostEarlier), signal);
    return value({ items: [...before, ...own] } satisfies List<RecordedCall>);
  }
  return lineStream((sink) => {
    const line = (call: RecordedCall): void => {
      const type = call.outcome ? 'MODIFIED' : 'ADDED';
      if (wanted(call)) sink.line({ type, object: call } satisfies WatchLine<RecordedCall>);
    };
    list().forEach(line);
    sink.line({ type: 'SYNCED' } satisfies WatchLine<RecordedCall>);
    return agent.calls.onCall(line);
  });
}

function callFilter(agent: Agent, query: URLSearchParams): (call: RecordedCall) => boolean {
  const [name, plugin, verb, kind] = [query.get('pod'), query.get('plugin'), query.get('verb'), query.get('interface')];
  const namespace = query.get('namespace') ?? 'default';
  const [failed, running] = [flag(query, 'failed'), flag(query, 'running')];
  const ofPod = name === null ? () => true : podFilter(agent, namespace, name);
  return (recorded) =>
    ofPod(recorded) &&
    (plugin === null || recorded.call.plugin === plugin) &&
    (verb === null || recorded.call.verb.toLowerCase() === verb.toLowerCase()) &&
    (kind === null || recorded.call.interface === kind) &&
    (!failed || recorded.outcome?.error !== undefined) &&
    (!running || recorded.outcome === undefined);
}

/** By uid, by name, or by an object of the pod: not every caller knows all of them. */
function podFilter(agent: Agent, namespace: string, name: string): (call: RecordedCall) => boolean {
  return ({ call: { subject } }) => {
    if (subject.podName !== undefined)
      return subject.podName === name && (subject.podNamespace ?? namespace) === namespace;
    const found = findPod(agent, namespace, name);
    if (!found) return false;
    if (subject.podUid !== undefined) return subject.podUid === found.uid;
    const { sandboxes = [], containers = [] } = found.observed ?? {};
    return subject.object !== undefined && [...sandboxes, ...containers].some(({ id }) => id === subject.object);
  };
}

const mostEvents = 30;

function explanation(agent: Agent, namespace: string, name: string): PodExplanation {
  const found = findPod(agent, namespace, name);
  const ofPod = agent.calls.list(podFilter(agent, namespace, name));
  const chosen = new Set([
    ...ofPod.filter(({ outcome }) => outcome === undefined),
    ...ofPod.filter(({ outcome }) => outcome?.error !== undefined).slice(-3),
    ...ofPod.slice(-1),
  ]);
  const key = `${namespace}/${name}`;
  const naming = agent
    .manifests()
    .filter(({ objects, problems }) =>
      [...objects.map((object) => `${object.kind} ${object.key}`), ...problems.map(({ object }) => object)].includes(
        `Pod ${key}`,
      ),
    );
  const { ready, message, network } = agent.runtimeHealth;
  return {
    ...(found && { view: podView(agent, found) }),
    now: Date.now(),
    sourcesSynced: agent.sourcesSynced(),
    runtime: { ready, message },
    network,
    cluster: agent.clusterProblems(),
    events: agent
      .events()
      .filter(
        ({ involvedObject }) => involvedObject.name === name && (involvedObject.namespace ?? 'default') === namespace,
      )
      .filter(({ involvedObject }) => !found || !involvedObject.uid || involvedObject.uid === found.uid)
      .slice(-mostEvents),
    calls: ofPod.filter((call) => chosen.has(call)),
    manifests: found || naming.length > 0 ? naming : agent.manifests().filter(({ problems }) => problems.length > 0),
  };
}
