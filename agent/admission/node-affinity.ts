import { matchesNodeSelector, type Pod } from '../api/index.js';

/** Whether the node is one the pod asks for: `nodeSelector`, and one of the terms of its required node affinity. */
export function matchesNode(pod: Pod, name: string, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(pod.spec?.nodeSelector ?? {});
  if (!wanted.every(([key, value]) => labels[key] === value)) return false;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return !required || matchesNodeSelector(required, { name, labels });
}
