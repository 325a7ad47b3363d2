import type { Pod } from '../api/index.js';
import { allContainers } from '../api/pod-containers.js';

/** The container that is meant when none is named, as kubectl chooses; says so when there was a choice. */
export function chooseContainer(pod: Pod, err: { write(text: string): unknown }): string {
  const named = pod.metadata?.annotations?.['kubectl.kubernetes.io/default-container'];
  const all = allContainers(pod);
  const chosen = all.find(({ container }) => container.name === named) ?? all.find(({ kind }) => kind === 'regular');
  const name = chosen?.container.name ?? '';
  if (all.length > 1 && named === undefined) {
    const list = all.map(({ container, kind }) =>
      kind === 'regular' ? container.name : `${container.name} (${kind})`,
    );
    const order = [...list.filter((each) => !each.endsWith(')')), ...list.filter((each) => each.endsWith(')'))];
    err.write(`Defaulted container "${name}" out of: ${order.join(', ')}\n`);
  }
  return name;
}
