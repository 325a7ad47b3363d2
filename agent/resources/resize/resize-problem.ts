import {
  allContainers,
  computeQosClass,
  type Container,
  type Pod,
  type ResourceRequirements,
} from '../../api/index.js';
import { needsRestart } from './pod-resources.js';

/**
 * What the Kubernetes API refuses of a change of resources (validation of the pod's `resize` subresource); undefined when it may be. The
 * pods differ in nothing else.
 */
export function resizeProblem(before: Pod, after: Pod): string | undefined {
  if (computeQosClass(before) !== computeQosClass(after)) return 'Pod QOS Class may not change as a result of resizing';
  const old = new Map(allContainers(before).map(({ container, path }) => [path, container.resources]));
  for (const { kind, container, path } of allContainers(after)) {
    if (kind === 'ephemeral') continue;
    const problem = requirementsProblem(old.get(path), container.resources);
    if (problem !== undefined) return `${path}.resources.${problem}`;
    if (after.spec?.restartPolicy === 'Never' && needsRestart(container as Container, new Set(['cpu', 'memory'])))
      return `${path}.resizePolicy: RestartContainer cannot be had with restartPolicy Never`;
  }
  const problem = requirementsProblem(before.spec?.resources, after.spec?.resources);
  return problem === undefined ? undefined : `spec.resources.${problem}`;
}

function requirementsProblem(before: ResourceRequirements = {}, after: ResourceRequirements = {}): string | undefined {
  for (const list of ['requests', 'limits'] as const) {
    const [from, to] = [before[list] ?? {}, after[list] ?? {}];
    for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
      if (from[name] !== undefined && to[name] === undefined) return `${list}.${name}: cannot be removed`;
      if (name !== 'cpu' && name !== 'memory' && String(from[name]) !== String(to[name]))
        return `${list}.${name}: only cpu and memory can be changed while the pod runs`;
    }
  }
  return undefined;
}
