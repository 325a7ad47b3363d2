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
  if (operator === 'Lt' || operator === 'Gt') return compares(operator, taint.value ?? '', value);
  return key !== '' && value === (taint.value ?? '');
}

/** Of whole numbers; the taint's value is on the left. The API server takes these operators only where the scheduler knows them. */
function compares(operator: 'Lt' | 'Gt', tainted: string, tolerated: string): boolean {
  if (![tainted, tolerated].every((text) => /^(0|-?[1-9]\d*)$/.test(text))) return false;
  const [left, right] = [BigInt(tainted), BigInt(tolerated)];
  return operator === 'Lt' ? left < right : left > right;
}
