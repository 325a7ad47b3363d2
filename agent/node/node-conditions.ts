import { toRfc3339 } from '../../base/clock.js';
import type { NodeCondition } from '../api/index.js';
import type { PressureCondition } from '../eviction/index.js';

export interface Readiness {
  readonly runtime: { readonly ready: boolean; readonly message: string };
  readonly network: { readonly ready: boolean; readonly message: string };
  readonly shuttingDown: boolean;
  /** Other reasons the node cannot take pods yet, in words. */
  readonly problems: readonly string[];
  /** What keeps the node from nothing yet and ought to be known. */
  readonly warnings?: readonly string[] | undefined;
}

interface Words {
  readonly bad: readonly [reason: string, message: string];
  readonly good: readonly [reason: string, message: string];
}

const words: Readonly<Record<PressureCondition, Words>> = {
  MemoryPressure: {
    bad: ['KubeletHasInsufficientMemory', 'kubelet has insufficient memory available'],
    good: ['KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
  },
  DiskPressure: {
    bad: ['KubeletHasDiskPressure', 'kubelet has disk pressure'],
    good: ['KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
  },
  PIDPressure: {
    bad: ['KubeletHasInsufficientPID', 'kubelet has insufficient PID available'],
    good: ['KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
  },
};

/** The node's conditions; Ready comes last (facts 10.2). Times of those that did not change are taken from `previous`. */
export function nodeConditions(
  pressures: ReadonlySet<PressureCondition>,
  readiness: Readiness,
  previous: readonly NodeCondition[],
  now: number,
): NodeCondition[] {
  const wanted = [
    ...(Object.keys(words) as PressureCondition[]).map((type) => {
      const felt = pressures.has(type);
      const [reason, message] = felt ? words[type].bad : words[type].good;
      return { type, status: felt ? ('True' as const) : ('False' as const), reason, message };
    }),
    readyCondition(readiness),
  ];
  return wanted.map((condition): NodeCondition => {
    const before = previous.find(({ type }) => type === condition.type);
    const since = before?.status === condition.status ? before.lastTransitionTime : undefined;
    return { ...condition, lastTransitionTime: since ?? toRfc3339(now) };
  });
}

function readyCondition({
  runtime,
  network,
  shuttingDown,
  problems,
  warnings = [],
}: Readiness): NodeCondition & { status: 'True' | 'False' } {
  const all = [
    ...(runtime.ready ? [] : [runtime.message]),
    ...(network.ready ? [] : [`container runtime network not ready: ${network.message}`]),
    ...problems,
    ...(shuttingDown ? ['node is shutting down'] : []),
  ];
  const told = warnings.map((each) => `. WARNING: ${each}`).join('');
  return all.length === 0
    ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: `kubelet is posting ready status${told}` }
    : { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: all.join(', ') };
}
