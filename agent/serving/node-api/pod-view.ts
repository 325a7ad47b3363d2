import type { Agent, AgentPod } from '../../agent.js';
import { allContainers, findContainer, podKey, podSourceOf, type Pod, type PodContainer } from '../../api/index.js';
import { suggest } from '../../api/suggest.js';
import { ApiError } from './api-error.js';
import type { PodView } from './contract.js';

/** A pod as it travels: the Kubernetes object with its status as it is now, and what the agent does about it. */
export function podView(agent: Agent, found: AgentPod): PodView {
  const { desired, waits, progress } = found;
  const pod = podOf(found);
  return {
    pod,
    waits,
    progress,
    ...(desired && { source: podSourceOf(pod) ?? 'api', manifest: manifestOf(agent, pod) }),
    ...(desired?.termination && {
      ending: {
        cause: desired.termination.cause,
        since: desired.termination.since,
        graceSeconds: desired.termination.graceSeconds,
      },
    }),
    ...(!desired && { ending: { cause: 'orphan', since: agent.startedAt, graceSeconds: 0 } }),
  };
}

/** One that only the runtime knows has no spec any more; its uid still names it. */
function podOf({ pod, status, uid, desired }: AgentPod): Pod {
  const known: Pod = pod ?? {
    metadata: { name: `unknown-${uid}`, namespace: 'default', uid },
    spec: { containers: [] },
  };
  const { termination } = desired ?? {};
  const ending =
    termination && termination.cause !== 'rejected' && known.metadata?.deletionTimestamp === undefined
      ? {
          deletionTimestamp: new Date(termination.since).toISOString(),
          deletionGracePeriodSeconds: termination.graceSeconds,
        }
      : {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...known.metadata, ...ending },
    spec: known.spec,
    ...(status && { status }),
  };
}

export function manifestOf(agent: Agent, pod: Pod): string | undefined {
  return manifestOfObject(agent, 'Pod', podKey(pod));
}

/** `key` is `namespace/name`, or the name alone for kinds without a namespace. */
export function manifestOfObject(agent: Agent, kind: string, key: string): string | undefined {
  return agent.manifests().find(({ objects }) => objects.some((object) => object.kind === kind && object.key === key))
    ?.file;
}

/** Of two pods with one name, one of which ends, the other one is meant. */
export function findPod(agent: Agent, namespace: string, name: string): AgentPod | undefined {
  const key = `${namespace}/${name}`;
  const named = agent.pods().filter((found) => podKey(podOf(found)) === key);
  return named.find(({ desired }) => desired && !desired.termination) ?? named[0];
}

/** A container the pod has, of any kind. */
export function requireContainer(pod: Pod, name: string): PodContainer {
  const found = findContainer(pod, name);
  if (found) return found;
  const names = allContainers(pod).map(({ container }) => container.name);
  throw new ApiError(
    'NotFound',
    `container "${name}" is not in pod "${pod.metadata?.name ?? ''}"; it has ${names.join(', ')}`,
  );
}

/** With the pod that was meant, where one is near: of another namespace, or of a name almost the same. */
function absentPod(agent: Agent, namespace: string, name: string): string {
  const all = agent.pods().map((found) => podOf(found).metadata);
  const elsewhere = all.find((metadata) => metadata?.name === name)?.namespace;
  const near = suggest(
    name,
    all.flatMap((metadata) => (metadata?.namespace === namespace && metadata.name ? [metadata.name] : [])),
  );
  const hint =
    elsewhere === undefined
      ? near === undefined
        ? ''
        : `; did you mean "${near}"?`
      : `; there is one in namespace "${elsewhere}"`;
  return `pods "${name}" not found in namespace "${namespace}"${hint}`;
}

export function requirePod(agent: Agent, params: Readonly<Record<string, string>>): AgentPod & { readonly pod: Pod } {
  const { namespace = 'default', name = '' } = params;
  const found = findPod(agent, namespace, name);
  if (!found?.pod) throw new ApiError('NotFound', absentPod(agent, namespace, name));
  return { ...found, pod: found.pod };
}
