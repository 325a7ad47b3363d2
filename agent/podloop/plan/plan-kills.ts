import { isHashOf } from '../../api/index.js';
import { podGraceSeconds } from '../ending.js';
import type { PlanDraft } from './plan-draft.js';
import type { ObservedContainer, ObservedSandbox } from '../pod-facts.js';
import { currentInstance, isAlive, type ContainerView, type PodView } from '../pod-view.js';
import { resizeNeed } from './plan-resize.js';
import type { KillWhy } from '../steps.js';

/** Kills what must not run on in a pod that lives. */
export function planKills(view: PodView, draft: PlanDraft, sandbox: ObservedSandbox): void {
  const grace = podGraceSeconds(view);
  for (const stranger of view.strangers)
    if (isAlive(view.facts, stranger)) draft.kill(stranger, { kind: 'not-wanted' }, grace);
  for (const container of view.containers) {
    const current = currentInstance(view, container);
    for (const instance of container.instances) {
      if (!isAlive(view.facts, instance)) continue;
      const kill = whyKill(view, container, instance, current, sandbox);
      if (!kill) continue;
      // The hook of what is killed has nothing to wait for.
      if (container.starting?.sandboxId === instance.sandboxId) draft.cancel(`start-container/${container.name}`);
      draft.kill(instance, kill.why, kill.graceSeconds ?? grace);
    }
  }
}

interface Kill {
  readonly why: KillWhy;
  readonly graceSeconds?: number | undefined;
}

function whyKill(
  view: PodView,
  container: ContainerView,
  instance: ObservedContainer,
  current: ObservedContainer | undefined,
  sandbox: ObservedSandbox,
): Kill | undefined {
  if (instance.sandboxId !== sandbox.id) return { why: { kind: 'sandbox-changed' } };
  if (instance !== current) return { why: { kind: 'not-wanted' } };
  if (instance.state === 'unknown') return { why: { kind: 'state-unknown' } };
  if (container.kind === 'init' || container.kind === 'ephemeral') return undefined;
  if (instance.hash !== undefined && !isHashOf(container.spec, instance.hash)) {
    return { why: { kind: 'spec-changed' } };
  }
  if (resizeNeed(view, container) === 'restart') return { why: { kind: 'resize' } };
  const failed = view.facts.probes.get(instance.id)?.failed;
  if (!failed) return undefined;
  return { why: { kind: `${failed.probe}-failed`, message: failed.message }, graceSeconds: failed.graceSeconds };
}

/**
 * The containers whose turn to stop it is when all must go: sidecars wait for the init and regular containers, and for the sidecars
 * declared after them. The rest of `alive` waits. Without a spec nobody waits.
 */
export function killTurn(view: PodView | undefined, alive: readonly ObservedContainer[]): readonly ObservedContainer[] {
  const kinds = new Map(view?.containers.map(({ name, kind }) => [name, kind]));
  const served = alive.some(({ name }) => kinds.get(name) === 'regular' || kinds.get(name) === 'init');
  const running = new Set(alive.map(({ name }) => name));
  const last = view?.init.findLast(({ name, kind }) => kind === 'sidecar' && running.has(name))?.name;
  return alive.filter(({ name }) => kinds.get(name) !== 'sidecar' || (!served && name === last));
}
