import type { Pod, Taint, Toleration } from '../api/index.js';

/** The first of the node's taints of this effect that the pod does not tolerate. */
export function untolerated(pod: Pod, taints: readonly Taint[], effect: Taint['effect']): Taint | undefined {
  return taints.find(
    (taint) => taint.effect === effect && !(pod.spec?.tolerations ?? []).some((each) => tolerates(each, taint)),
  );
}

export function tolerates(toleration: Toleration, taint: Pick<Taint, 'key' | 'value' | 'effect'>): boolean {
  const { key = '', operator = 'Equal', value = '', effect = '' } = toleration;
  if (effect !== '' && effect !== taint.effect) return false;
  if (key !== '' && key !== taint.key) return false;
  if (operator === 'Exists') return true;
  return key !== '' && value === (taint.value ?? '');
}
