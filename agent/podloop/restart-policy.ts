import type { Container, ContainerRestartRule, Pod } from '../api/index.js';

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

/** The fields of a container that decide over its restarts. */
export type Restartable = Pick<Container, 'restartPolicy' | 'restartPolicyRules'>;

/** The container's own policy goes before the pod's. */
export function restartPolicyOf(pod: Pod, container: Restartable): RestartPolicy {
  return container.restartPolicy ?? pod.spec?.restartPolicy ?? 'Always';
}

/** The first rule that names this exit code, if any. */
export function matchingRule(container: Restartable, exitCode: number): ContainerRestartRule | undefined {
  return container.restartPolicyRules?.find(({ exitCodes }) => {
    if (exitCodes === undefined) return false;
    const named = exitCodes.values?.includes(exitCode) ?? false;
    return exitCodes.operator === 'In' ? named : !named;
  });
}

/** True when a container that ended by itself with this code starts again: rules first, then its policy, then the pod's. */
export function shouldRestart(pod: Pod, container: Restartable, exitCode: number): boolean {
  if (container.restartPolicy !== undefined && matchingRule(container, exitCode)) return true;
  const policy = restartPolicyOf(pod, container);
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}

/** True when this exit makes the whole pod start over in place. */
export function restartsAllContainers(container: Restartable, exitCode: number): boolean {
  return matchingRule(container, exitCode)?.action === 'RestartAllContainers';
}

/** True when some container of the pod has a rule that may make the pod start over. */
export function mayRestartAllContainers(pod: Pod): boolean {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  return [...initContainers, ...containers].some((container) =>
    container.restartPolicyRules?.some((rule) => rule.action === 'RestartAllContainers'),
  );
}
