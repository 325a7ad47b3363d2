import type { RuntimeFacts } from '../podloop/pod-facts.js';
import type { RuntimeChange } from './runtime-change.js';
import type { PodItems } from './runtime-listing.js';

/** What the runtime is to be asked for, and what stays as it was. */
export interface Doubts {
  readonly kept: RuntimeFacts;
  readonly sandboxes: readonly string[];
  readonly containers: readonly { readonly id: string; readonly sandboxId: string }[];
}

/** After changes that were told. Undefined when only a list of the pod can say. */
export function doubtsAfter(facts: RuntimeFacts, changes: readonly RuntimeChange[]): Doubts | undefined {
  const gone = new Set(changes.filter(({ became }) => became === 'gone').map(({ id }) => id));
  const sandboxes = new Set<string>();
  const containers = new Map<string, string>();
  for (const { id, became, sandboxId } of changes) {
    if (gone.has(id)) continue;
    const container = facts.containers.find((one) => one.id === id);
    if (sandboxId === id || facts.sandboxes.some((one) => one.id === id)) {
      sandboxes.add(id);
      // They end with it.
      if (became === 'exited')
        for (const one of facts.containers)
          if (one.sandboxId === id && one.state !== 'exited') containers.set(one.id, id);
    } else if (container) containers.set(id, container.sandboxId);
    else if (sandboxId !== undefined) containers.set(id, sandboxId);
    else return undefined;
  }
  return {
    kept: {
      sandboxes: facts.sandboxes.filter(({ id }) => !gone.has(id) && !sandboxes.has(id)),
      // A sandbox takes its containers with it.
      containers: facts.containers.filter(
        ({ id, sandboxId }) => !gone.has(id) && !gone.has(sandboxId) && !containers.has(id),
      ),
    },
    sandboxes: [...sandboxes],
    containers: [...containers]
      .map(([id, sandboxId]) => ({ id, sandboxId }))
      .filter(({ id, sandboxId }) => !gone.has(id) && !gone.has(sandboxId)),
  };
}

/** After a list: a sandbox keeps its addresses for as long as it is ready, and how a container ended never changes. */
export function doubtsOf(items: PodItems, last: RuntimeFacts = { sandboxes: [], containers: [] }): Doubts {
  const ready = new Set(items.sandboxes.filter(({ state }) => state === 'SANDBOX_READY').map(({ id }) => id));
  const listed = new Set(items.containers.map(({ id }) => id));
  const kept = {
    sandboxes: last.sandboxes.filter((sandbox) => sandbox.ready && ready.has(sandbox.id)),
    containers: last.containers.filter(({ id, state }) => state === 'exited' && listed.has(id)),
  };
  const known = new Set([...kept.sandboxes, ...kept.containers].map(({ id }) => id));
  return {
    kept,
    sandboxes: items.sandboxes.flatMap(({ id = '' }) => (known.has(id) ? [] : [id])),
    containers: items.containers.flatMap(({ id = '', podSandboxId = '' }) =>
      known.has(id) ? [] : [{ id, sandboxId: podSandboxId }],
    ),
  };
}
