import { toRfc3339 } from '../../../base/clock.js';
import { deadlineOf, endingOf, type Ending } from '../ending.js';
import { PlanDraft } from './plan-draft.js';
import { planEnding } from './plan-ending.js';
import { planHistory } from './plan-history.js';
import { planKills } from './plan-kills.js';
import { planPins } from './plan-pins.js';
import { planResize } from './plan-resize.js';
import { planRestartAll, restartAllSources } from './plan-restart-all.js';
import { planOldSandboxes, planSandbox } from './plan-sandbox.js';
import { planStarts } from './plan-starts.js';
import { tellWaits } from './plan-waits.js';
import { currentSandbox, podView, type PodView } from '../pod-view.js';
import type { DesiredPod, PlanPolicy, PodFacts } from '../pod-facts.js';
import type { PodPlan } from '../steps.js';

/** A pod nobody wants gets no more than this. */
const orphanGraceSeconds = 1;

/**
 * What to do next for one pod. Pure: the same facts give the same plan, and a pod that is as it should be gives an empty one.
 * `undefined` is a pod that only the runtime or the disk knows.
 */
export function planPod(desired: DesiredPod | undefined, facts: PodFacts, policy: PlanPolicy, now: number): PodPlan {
  if (!desired) {
    const ending: Ending = { cause: 'orphan', since: now, graceSeconds: orphanGraceSeconds, remove: true };
    return planEnding(undefined, facts, ending, now);
  }
  const view = podView(desired, facts, now);
  const ending = endingOf(view);
  return ending ? planEnding(view, facts, ending, now) : planLife(view, policy);
}

function planLife(view: PodView, policy: PlanPolicy): PodPlan {
  const { facts, now } = view;
  const draft = new PlanDraft(facts, now);
  const deadline = deadlineOf(view);
  if (deadline !== undefined) draft.lookAgain(deadline);
  const isLaidOut = planGround(facts, draft, now);
  const sandbox = currentSandbox(view);
  if (!sandbox) {
    planSandbox(view, draft, isLaidOut);
    planOldSandboxes(view, draft);
    return draft.finish();
  }
  const sources = restartAllSources(view);
  if (sources.length > 0) {
    planRestartAll(view, draft, sources);
    return draft.finish();
  }
  planKills(view, draft, sandbox);
  planPins(view, draft);
  const isResizing = isLaidOut && planResize(view, draft);
  if (isLaidOut && !isResizing) tellWaits(view, draft, planStarts(view, draft, policy, sandbox));
  planHistory(view, draft);
  planOldSandboxes(view, draft);
  return draft.finish();
}

/** True when folders, cgroup and volumes are there, so that something may be started. */
function planGround(facts: PodFacts, draft: PlanDraft, now: number): boolean {
  if (!facts.prepared) planPreparation(facts, draft, now);
  else if (!facts.volumesMounted) draft.do({ kind: 'mount-volumes' });
  return facts.prepared && facts.volumesMounted;
}

/** Asks for what the pod is to be granted, unless it was told to wait. */
function planPreparation(facts: PodFacts, draft: PlanDraft, now: number): void {
  const { grantWait } = facts;
  if (!grantWait || grantWait.until <= now || facts.inFlight.has('prepare-pod')) {
    draft.do({ kind: 'prepare-pod' });
    return;
  }
  const { resource, reason, since, until } = grantWait;
  draft.lookAgain(until);
  draft.wait('blocked', {
    step: 'devices',
    object: resource === 'cpu' || resource === 'memory' ? `exclusive ${resource}` : `device ${resource}`,
    since,
    attempt: 1,
    lastError: { reason: 'WaitingForDevices', message: `${reason}; the pod is refused at ${toRfc3339(until)}` },
    nextTry: until,
  });
}
