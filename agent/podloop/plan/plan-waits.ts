import type { InitProgress } from '../init-progress.js';
import type { PlanDraft } from './plan-draft.js';
import { currentInstance, isReady, isStarted, type ContainerView, type PodView } from '../pod-view.js';
import type { WaitStep } from '../steps.js';

/** Tells what keeps a pod from being ready where no step can help: containers that must finish, probes, readiness gates. */
export function tellWaits(view: PodView, draft: PlanDraft, progress: InitProgress): void {
  if (progress.running) tellContainer(view, draft, progress.running, 'init-container');
  for (const container of view.containers) {
    if (container.kind === 'init' || container.kind === 'ephemeral' || container.starting) continue;
    const instance = currentInstance(view, container);
    if (instance?.state !== 'running') continue;
    if (!isStarted(view, container, instance)) tellContainer(view, draft, container, 'startup-probe');
    else if (!isReady(view, container, instance)) tellContainer(view, draft, container, 'readiness-probe');
  }
  const conditions = view.desired.previousStatus?.conditions;
  for (const { conditionType } of view.pod.spec?.readinessGates ?? []) {
    const condition = conditions?.find(({ type }) => type === conditionType);
    if (condition?.status === 'True') continue;
    draft.wait('probing', {
      step: 'readiness-gate',
      object: `condition ${conditionType}`,
      since: Date.parse(condition?.lastTransitionTime ?? view.facts.lastReported?.startTime ?? '') || view.now,
      attempt: 1,
      lastError: {
        reason: 'ReadinessGatesNotReady',
        message: `the status of pod readiness gate "${conditionType}" is not "True"`,
      },
    });
  }
}

const words: Partial<Record<WaitStep, (name: string) => string>> = {
  'init-container': (name) => `init container ${name} has not finished`,
  'startup-probe': (name) => `startup probe of container ${name} has not succeeded`,
  'readiness-probe': (name) => `readiness probe of container ${name} has not succeeded`,
};

function tellContainer(view: PodView, draft: PlanDraft, container: ContainerView, step: WaitStep): void {
  const { name } = container;
  const instance = currentInstance(view, container);
  draft.wait('probing', {
    step,
    object: `container ${name}`,
    container: name,
    since: instance?.startedAt ?? view.now,
    attempt: 1,
    lastError: { reason: 'ContainersNotReady', message: words[step]?.(name) ?? `container ${name} is not ready` },
  });
}
