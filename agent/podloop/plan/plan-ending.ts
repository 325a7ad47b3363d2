import { isTerminalPhase } from '../../api/index.js';
import type { Ending } from '../ending.js';
import { PlanDraft } from './plan-draft.js';
import { killTurn } from './plan-kills.js';
import { planPins } from './plan-pins.js';
import type { ObservedContainer, PodFacts } from '../pod-facts.js';
import { isAlive, isStopped, type PodView } from '../pod-view.js';
import { stepKey, type PodPlan, type Step } from '../steps.js';

/** Steps that make something; a pod that ends must not have one of them under way when its sandbox is stopped. */
const making: ReadonlySet<Step['kind']> = new Set([
  'prepare-pod',
  'mount-volumes',
  'create-sandbox',
  'resize-pod',
  'pin-containers',
  'ensure-image',
  'start-container',
]);

/** A container gets at least this long between its stop signal and SIGKILL, unless it gets none at all. */
const leastGraceSeconds = 2;

/**
 * Takes a pod down: containers, sandbox, volumes, and what it was granted. One that ended by itself keeps its dead containers for
 * status and logs; one that must vanish keeps nothing, and is forgotten at the end.
 */
export function planEnding(view: PodView | undefined, facts: PodFacts, ending: Ending, now: number): PodPlan {
  const draft = new PlanDraft(facts, now);
  if (!facts.sourcesSynced && ending.cause === 'orphan') {
    draft.wait('blocked', { step: 'sources', object: 'pod sources', since: facts.agentStartedAt, attempt: 1 });
    return draft.finish();
  }
  const isMaking = cancelMaking(facts, draft);
  const isRunning = stopContainers(view, facts, draft, ending, now);
  // What takes long to end must leave the CPUs that another has for itself meanwhile.
  if (view && isRunning) planPins(view, draft);
  if (isMaking || isRunning || !stopSandboxes(facts, draft)) return draft.finish();
  if (facts.volumesPresent) draft.do({ kind: 'unmount-volumes' });
  const isEmpty = removeParts(facts, draft, ending);
  if (facts.volumesPresent || !isEmpty || isBusy(facts)) return draft.finish();
  if (!facts.released) {
    draft.do({ kind: 'release-pod' });
    return draft.finish();
  }
  return draft.finish(ending.remove && facts.inFlight.size === 0 ? 'forget' : 'wait');
}

/** True while something runs that must end before the pod gives back what it was granted. */
function isBusy({ inFlight }: PodFacts): boolean {
  return [...inFlight.values()].some(({ step }) => step.kind !== 'release-pod');
}

function cancelMaking(facts: PodFacts, draft: PlanDraft): boolean {
  let found = false;
  const isRunning = facts.runtime.containers.some((instance) => isAlive(facts, instance));
  for (const [key, { step }] of facts.inFlight) {
    if (!making.has(step.kind) || (isRunning && step.kind === 'pin-containers')) continue;
    draft.cancel(key);
    found = true;
  }
  return found;
}

/** True while something may run. */
function stopContainers(
  view: PodView | undefined,
  facts: PodFacts,
  draft: PlanDraft,
  ending: Ending,
  now: number,
): boolean {
  const alive = facts.runtime.containers.filter((instance) => isAlive(facts, instance));
  const end = ending.since + ending.graceSeconds * 1000;
  const grace = ending.graceSeconds === 0 ? 0 : Math.max(Math.ceil((end - now) / 1000), leastGraceSeconds);
  const isOver = end <= now;
  const turn = new Set(isOver ? alive : killTurn(view, alive));
  cancelHooks(facts, draft, isOver ? [] : alive);
  for (const instance of alive) {
    const isHooked = !isOver && runHookAhead(view, facts, draft, instance, grace, turn.has(instance));
    if (turn.has(instance) && !isHooked) draft.kill(instance, { kind: 'pod-terminating' }, grace, true);
    else waitForTurn(draft, instance, ending.since, end);
  }
  return alive.length > 0 || [...facts.inFlight.values()].some(({ step }) => step.kind === 'kill-container');
}

/**
 * The preStop hook of a sidecar begins with the end of the pod; only its stop signal waits. True while the hook runs. Whoever's turn it is
 * and whose hook was not begun has it run by the kill.
 */
function runHookAhead(
  view: PodView | undefined,
  facts: PodFacts,
  draft: PlanDraft,
  { name, id }: ObservedContainer,
  graceSeconds: number,
  isItsTurn: boolean,
): boolean {
  const step: Step = { kind: 'pre-stop', container: name, containerId: id, graceSeconds };
  if (facts.inFlight.has(stepKey(step))) return draft.do(step) === 'busy';
  if (isItsTurn || isBeingKilled(facts, id)) return false;
  const spec = view?.init.find((container) => container.name === name)?.spec;
  if (!spec?.lifecycle?.preStop || facts.notes.get(name)?.preStopBegun === id) return false;
  return draft.do(step) === 'busy';
}

/** Also for another reason than the end of its pod: that kill runs its hook. */
function isBeingKilled({ inFlight }: PodFacts, containerId: string): boolean {
  return [...inFlight.values()].some(({ step }) => step.kind === 'kill-container' && step.containerId === containerId);
}

/** Hooks of containers that ended, or whose time is over. */
function cancelHooks(facts: PodFacts, draft: PlanDraft, stillHooked: readonly ObservedContainer[]): void {
  const ids = new Set(stillHooked.map(({ id }) => id));
  for (const [key, { step }] of facts.inFlight)
    if (step.kind === 'pre-stop' && !ids.has(step.containerId)) draft.cancel(key);
}

function waitForTurn(draft: PlanDraft, { name }: ObservedContainer, since: number, until: number): void {
  draft.lookAgain(until);
  draft.wait('running', {
    step: 'turn-to-stop',
    object: `container ${name}`,
    container: name,
    since,
    attempt: 1,
    nextTry: until,
  });
}

function stopSandboxes(facts: PodFacts, draft: PlanDraft): boolean {
  const unstopped = facts.runtime.sandboxes.filter((sandbox) => !isStopped(facts, sandbox));
  for (const { id } of unstopped) draft.do({ kind: 'stop-sandbox', sandboxId: id });
  return unstopped.length === 0;
}

/** True when all that the ending takes away is gone. */
function removeParts(facts: PodFacts, draft: PlanDraft, { remove, cause }: Ending): boolean {
  const { containers, sandboxes } = facts.runtime;
  // The node is short of something: an evicted pod gives its containers back as soon as its status has told of them.
  const evicted = cause === 'evicted' && isTerminalPhase(facts.lastReported?.phase);
  if (remove || evicted) {
    for (const { name, id } of containers)
      draft.do({ kind: 'remove-container', container: name, containerId: id, keepLogs: false });
  }
  if (!remove) return true;
  const held = new Set(containers.map(({ sandboxId }) => sandboxId));
  for (const { id } of sandboxes) if (!held.has(id)) draft.do({ kind: 'remove-sandbox', sandboxId: id });
  return containers.length === 0 && sandboxes.length === 0;
}
