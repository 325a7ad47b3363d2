import {
  currentInstance,
  currentSandbox,
  endOf,
  isInitFailure,
  isStarted,
  type ContainerView,
  type PodView,
} from './pod-view.js';

/** How far the init containers of the current sandbox have come. */
export interface InitProgress {
  /** Regular containers may start. */
  readonly initialized: boolean;
  /** Containers that must be started, in order: the next one, and sidecars that went away. */
  readonly toStart: readonly ContainerView[];
  /** The plain init container that runs now. */
  readonly running: ContainerView | undefined;
}

/**
 * Scans from the last init container that has left a trace: those before it are done, whether or not the runtime still has
 * them. A regular container in this sandbox proves that all of them are.
 */
export function initProgress(view: PodView): InitProgress {
  const { init } = view;
  const frontier = init.findLastIndex((container) => hasTrace(view, container));
  const seenRegular = view.regular.some((container) => hasTrace(view, container));
  const through = seenRegular || init.length === 0;
  const toStart = init.filter((container, index) => {
    if (container.kind !== 'sidecar' || (!through && index >= frontier)) return false;
    return isDown(view, container);
  });
  if (through) return { initialized: true, toStart, running: undefined };
  const at = init[frontier];
  if (!at) return { initialized: false, toStart: init.slice(0, 1), running: undefined };
  if (isDone(view, at)) {
    const next = init[frontier + 1];
    return { initialized: !next, toStart: next ? [...toStart, next] : toStart, running: undefined };
  }
  if (isDown(view, at) || at.starting) return { initialized: false, toStart: [...toStart, at], running: undefined };
  return { initialized: false, toStart, running: at.kind === 'init' ? at : undefined };
}

function hasTrace(view: PodView, container: ContainerView): boolean {
  const sandbox = currentSandbox(view);
  return (
    currentInstance(view, container) !== undefined ||
    (container.starting !== undefined && container.starting.sandboxId === sandbox?.id)
  );
}

function isDone(view: PodView, container: ContainerView): boolean {
  const instance = currentInstance(view, container);
  if (!instance || container.starting) return false;
  if (container.kind === 'sidecar') return isStarted(view, container, instance);
  const end = endOf(view.facts, instance);
  return end !== undefined && !isInitFailure(container, end);
}

/** True when no instance in this sandbox may be running. */
function isDown(view: PodView, container: ContainerView): boolean {
  const instance = currentInstance(view, container);
  return !instance || instance.state === 'created' || endOf(view.facts, instance) !== undefined;
}
