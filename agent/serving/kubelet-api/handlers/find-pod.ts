import type { Agent, AgentPod } from '../../../agent.js';
import { findContainer, isStaticPod, type Container, type EphemeralContainer, type Pod } from '../../../api/index.js';
import type { ObservedContainer } from '../../../podloop/pod-facts.js';
import { HttpError } from '../http-error.js';

/** What the handlers need of the agent. */
export type Host = Pick<Agent, 'config' | 'runtime' | 'pods' | 'pod'>;

export type KnownPod = AgentPod & { readonly pod: Pod };

/** Of two pods with one name, one of which ends, the other one is meant. */
export function podNamed(host: Host, namespace: string, name: string): KnownPod | undefined {
  const named = host.pods().flatMap((found): KnownPod[] => {
    const { pod } = found;
    return pod?.metadata?.name === name && (pod.metadata.namespace ?? 'default') === namespace
      ? [{ ...found, pod }]
      : [];
  });
  return (
    named.find(({ desired }) => desired && !desired.termination) ?? named.find(({ desired }) => desired) ?? named[0]
  );
}

/** The pod a path names; a UID in it must be the pod's, unless the API server knows the pod by another one. */
export function requirePod(host: Host, params: Readonly<Record<string, string>>): KnownPod {
  const { namespace = '', pod: name = '', uid } = params;
  const found = podNamed(host, namespace, name);
  if (!found) throw new HttpError(404, 'pod does not exist');
  if (uid !== undefined && found.uid !== uid && !isStaticPod(found.pod)) throw new HttpError(404, 'pod not found');
  return found;
}

export interface RunningContainer {
  readonly id: string;
  readonly spec: Container | EphemeralContainer | undefined;
}

export function runningContainer({ pod, observed }: KnownPod, container: string): RunningContainer {
  const instances: readonly ObservedContainer[] = observed?.containers.filter(({ name }) => name === container) ?? [];
  const running = instances.find(({ state }) => state === 'running');
  const spec = findContainer(pod, container)?.container;
  if (running) return { id: running.id, spec };
  if (instances.length === 0) throw new HttpError(404, `container not found ("${container}")`);
  throw new HttpError(409, `container "${container}" in pod "${pod.metadata?.name ?? ''}" is not running`);
}
