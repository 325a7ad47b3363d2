import { criError } from '../contract/cri-error.js';
import type { InspectedContainer } from './docker-types.js';
import { containerType, dockerLabels } from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { inspectById } from './sandboxes.js';

/** By its id, which may be cut short; `not-found` for sandboxes and for what others made. */
export async function findContainer(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<InspectedContainer> {
  if (!id) throw criError('invalid-argument', 'find container: the id is empty');
  const found = await inspectById(context, id, `find container ${id}`, signal);
  if (found.Config.Labels[dockerLabels.type] !== containerType) {
    throw criError('not-found', `find container ${id}: it is not a container of a pod`);
  }
  return found;
}
