import { readFileSync } from 'node:fs';
import type { Agent } from '../../agent.js';
import { GaugeMetric, type Accumulator } from './accumulators.js';

/** How long it took from the machine's start until the node was ready; each part once it is known. */
export function startupGauges(
  { startedAt }: Pick<Agent, 'startedAt'>,
  registration: () => { readonly seconds: number; readonly at: number } | undefined,
  readyAt: () => number | undefined,
): Accumulator[] {
  const bootedAt = bootTime();
  const between = (name: string, help: string, from: () => number | undefined, to: () => number | undefined) =>
    new GaugeMetric(`kubelet_node_startup_${name}`, `Duration in seconds of node startup ${help}.`, () => {
      const [begin, end] = [from(), to()];
      if (begin === undefined || end === undefined) return [];
      return [{ labels: {}, value: Math.max(end - begin, 0) / 1000 }];
    });
  return [
    between(
      'pre_kubelet_duration_seconds',
      'before kubelet starts',
      () => bootedAt,
      () => startedAt,
    ),
    between(
      'pre_registration_duration_seconds',
      'before registration',
      () => startedAt,
      () => {
        const known = registration();
        return known && known.at - known.seconds * 1000;
      },
    ),
    between('post_registration_duration_seconds', 'after registration', () => registration()?.at, readyAt),
    between('duration_seconds', 'in total', () => bootedAt, readyAt),
  ];
}

function bootTime(): number | undefined {
  const seconds = /^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
