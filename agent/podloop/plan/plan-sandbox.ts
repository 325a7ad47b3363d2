import { podGraceSeconds } from '../ending.js';
import type { PlanDraft } from './plan-draft.js';
import { killTurn } from './plan-kills.js';
import type { ObservedSandbox } from '../pod-facts.js';
import { currentSandbox, isAlive, isHostNetwork, isStopped, type PodView } from '../pod-view.js';

/**
 * Makes the sandbox, after everything in the ones before has been stopped: two of them could hold one host port. Called while
 * there is none that can be used.
 */
export function planSandbox(view: PodView, draft: PlanDraft, mayCreate: boolean): void {
  const { sandbox, facts } = view;
  if (sandbox.kind === 'creating') {
    draft.do({ kind: 'create-sandbox', attempt: 0 });
    return;
  }
  if (sandbox.kind === 'ok' || !isTornDown(view, draft) || !mayCreate) return;
  if (!facts.network.ready && !isHostNetwork(view.pod)) {
    draft.wait('blocked', {
      step: 'network',
      object: 'network of the node',
      since: Math.max(facts.agentStartedAt, Date.parse(facts.lastReported?.startTime ?? '') || 0),
      attempt: 1,
      lastError: { reason: 'NetworkNotReady', message: `network is not ready: ${facts.network.message}` },
    });
    return;
  }
  draft.do({ kind: 'create-sandbox', attempt: sandbox.attempt });
}

/** True when nothing is left alive in any sandbox; until then plans what ends it. */
function isTornDown(view: PodView, draft: PlanDraft): boolean {
  const { facts } = view;
  for (const container of view.containers) if (container.starting) draft.cancel(`start-container/${container.name}`);
  const alive = facts.runtime.containers.filter((instance) => isAlive(facts, instance));
  for (const instance of killTurn(view, alive))
    draft.kill(instance, { kind: 'sandbox-changed' }, podGraceSeconds(view));
  if (alive.length > 0 || view.containers.some(({ starting }) => starting)) return false;
  return stopSandboxes(view, draft, facts.runtime.sandboxes);
}

function stopSandboxes(view: PodView, draft: PlanDraft, sandboxes: readonly ObservedSandbox[]): boolean {
  const unstopped = sandboxes.filter((sandbox) => !isStopped(view.facts, sandbox));
  for (const { id } of unstopped) draft.do({ kind: 'stop-sandbox', sandboxId: id });
  return unstopped.length === 0;
}

/** Clears away the sandboxes before the newest; those that still hold a dead container worth keeping stay as long as it. */
export function planOldSandboxes(view: PodView, draft: PlanDraft): void {
  const { facts } = view;
  const { containers, sandboxes } = facts.runtime;
  for (const old of sandboxes.slice(1)) {
    const held = containers.filter(({ sandboxId }) => sandboxId === old.id);
    if (held.some((instance) => isAlive(facts, instance))) continue;
    if (!isStopped(facts, old)) {
      if (currentSandbox(view)) draft.do({ kind: 'stop-sandbox', sandboxId: old.id }, 'cleaning');
    } else if (held.length === 0) draft.do({ kind: 'remove-sandbox', sandboxId: old.id }, 'cleaning');
  }
}
