import type { ContainerStatus } from '../../proto/generated/cri-v1.js';
import type { ObservedSandbox } from '../podloop/pod-facts.js';
import { containerState, observedSandbox } from './observed-status.js';
import { isCompleteSandbox, type RuntimeChange } from './runtime-change.js';

/**
 * A ready sandbox as the runtime told of it by itself. Undefined when it must be asked: none was told of, its addresses were not there
 * yet, or something came after it.
 */
export function saidOfSandbox(changes: readonly RuntimeChange[], id: string): ObservedSandbox | undefined {
  const told = changes.filter((change) => change.id === id);
  if (told.some(({ became }) => became === 'exited')) return undefined;
  for (const { said } of told.toReversed()) {
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
  const told = changes.filter((change) => change.id === id);
  if (told.some(({ became }) => became === 'exited')) return undefined;
  for (const { said } of told.toReversed())
    if (said?.kind === 'container' && containerState(said.status.state) === 'running') return said.status;
  return undefined;
}
