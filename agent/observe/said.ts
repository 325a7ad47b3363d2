import type { ContainerStatus } from '../../proto/generated/cri-v1.js';
import type { ObservedSandbox } from '../podloop/pod-facts.js';
import { containerState, observedSandbox } from './observed-status.js';
import { isCompleteSandbox, type RuntimeChange } from './runtime-change.js';

/**
 * A ready sandbox as the runtime told of it by itself. Undefined when it must be asked: none was told of, its addresses were not there
 * yet, or something came after it.
 */
export function saidOfSandbox(changes: readonly RuntimeChange[], id: string): ObservedSandbox | undefined {
  for (const { said } of startsOf(changes, id)) {
    const sandbox = said?.kind === 'sandbox' ? observedSandbox(said.status) : undefined;
    if (sandbox && isCompleteSandbox(sandbox)) return sandbox;
  }
  return undefined;
}

/**
 * A running container as the runtime told of it by itself. How a container ended is always asked: the runtime may learn why (an OOM kill)
 * only after it has told of the end.
 */
export function saidOfContainer(changes: readonly RuntimeChange[], id: string): ContainerStatus | undefined {
  for (const { said } of startsOf(changes, id))
    if (said?.kind === 'container' && containerState(said.status.state) === 'running') return said.status;
  return undefined;
}

/** What was told of it, newest first; nothing when it has ended since. */
function startsOf(changes: readonly RuntimeChange[], id: string): readonly RuntimeChange[] {
  const told = changes.filter((change) => change.id === id);
  return told.some(({ became }) => became === 'exited') ? [] : told.toReversed();
}
