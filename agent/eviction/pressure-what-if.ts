import type { FilesystemLayout } from '../stats/index.js';
import { nodeReclaims } from './decide-eviction.js';
import type { EvictionPod } from './eviction-pod.js';
import { amountText } from './eviction-words.js';
import { diskParts, rankPods, type RankedPod } from './rank-pods.js';
import { signalFacts, type EvictionSignal, type Observation, type Observations } from './signals.js';
import { amountOf, withContainerfs, type Threshold } from './thresholds.js';

export interface WhatIfInput {
  readonly observations: Observations;
  readonly thresholds: readonly Threshold[];
  readonly pods: readonly EvictionPod[];
  readonly layout: FilesystemLayout;
  /** Bytes of images that would go first, where that is known. */
  readonly unusedImageBytes?: number | undefined;
}

/** Evicts the same pods as the memory of the node, and is told with it. */
const forAllPods: EvictionSignal = 'allocatableMemory.available';

/** For `berth pressure --what-if`: for each thing the node can run out of, what is left, and who would go in what order. */
export function pressureWhatIf(input: WhatIfInput): string {
  const thresholds = withContainerfs(input.thresholds, input.layout);
  const signals = [...new Set(thresholds.map(({ signal }) => signal))].filter(
    (signal) => signal !== forAllPods && !signal.startsWith('containerfs.'),
  );
  if (signals.length === 0) return 'No eviction thresholds are set: no pod would ever be evicted for the node.\n';
  const sections = signals.map((signal) => {
    const observed = input.observations.get(signal);
    return observed
      ? signalSection(signal, observed, thresholds, input)
      : `${signal}\n  cannot be measured on this machine\n`;
  });
  return sections.join('\n');
}

function signalSection(
  signal: EvictionSignal,
  observed: Observation,
  thresholds: readonly Threshold[],
  input: WhatIfInput,
): string {
  const { resource, condition } = signalFacts[signal];
  const text = (amount: number): string => readable(amount, resource);
  const lines = [
    `${signal}: ${text(observed.available)} of ${text(observed.capacity)} available (${condition})`,
    ...thresholdLines(signal, observed, thresholds),
  ];
  const ofPods = input.observations.get(forAllPods);
  const limits = signal === 'memory.available' && ofPods ? thresholdLines(forAllPods, ofPods, thresholds) : [];
  if (ofPods && limits.length > 0)
    lines.push(
      `  of what all pods may use together, ${text(ofPods.available)} of ${text(ofPods.capacity)} available:`,
      ...limits,
    );
  lines.push(`  first the node gives back: ${reclaimText(signal, input)}`);
  const ranked = rankPods(input.pods, signal, input.layout);
  if (ranked.length === 0) lines.push('  no pods');
  else lines.push(...rankTable(ranked, signal, input.layout).map((line) => `  ${line}`));
  return `${lines.join('\n')}\n`;
}

function thresholdLines(
  signal: EvictionSignal,
  observed: Observation,
  thresholds: readonly Threshold[],
): readonly string[] {
  const text = (amount: number): string => readable(amount, signalFacts[signal].resource);
  return thresholds
    .filter((threshold) => threshold.signal === signal)
    .map(({ value, graceMs }) => {
      const wanted = amountOf(value, observed);
      const spare = observed.available - wanted;
      const kind = graceMs === 0 ? 'hard' : `soft, after ${graceMs / 1000} s`;
      const share =
        value.kind === 'share' ? ` (${Math.round(value.share * 1000) / 10}% of ${text(observed.capacity)})` : '';
      const state = spare >= 0 ? `${text(spare)} to spare` : `crossed by ${text(-spare)}`;
      return `  ${kind}: below ${text(wanted)}${share}: ${text(observed.available)} - ${text(wanted)} = ${state}`;
    });
}

function reclaimText(signal: EvictionSignal, { layout, unusedImageBytes }: WhatIfInput): string {
  const kinds = nodeReclaims(signal, layout).map((kind) => {
    if (kind === 'dead-containers') return 'dead containers of pods that ended';
    return unusedImageBytes === undefined
      ? 'unused images'
      : `unused images (${readable(unusedImageBytes, 'ephemeral-storage')})`;
  });
  return kinds.length === 0 ? 'nothing, this is not freed by removing anything of its own' : kinds.join(', ');
}

function rankTable(ranked: readonly RankedPod[], signal: EvictionSignal, layout: FilesystemLayout): string[] {
  const { resource } = signalFacts[signal];
  const text = (amount: number): string => readable(amount, resource);
  let order = 0;
  const rows = ranked.map(({ pod, usage, request, overRequest }): string[] => [
    pod.critical ? 'never' : String(++order),
    `${pod.namespace}/${pod.name}`,
    pod.qos,
    String(pod.priority),
    usage === undefined ? '?' : text(usage),
    text(request),
    usage === undefined ? '?' : `${usage < request ? '-' : ''}${text(Math.abs(usage - request))}`,
    reasonOf(pod, usage, overRequest, resource),
  ]);
  const used =
    resource === 'ephemeral-storage' ? `USED (${diskParts(signal, layout).join('+') || 'nothing here'})` : 'USED';
  return table([['ORDER', 'POD', 'QOS', 'PRIORITY', used, 'REQUEST', 'USED-REQUEST', 'WHY'], ...rows]);
}

function reasonOf(pod: EvictionPod, usage: number | undefined, overRequest: boolean, resource: string): string {
  if (pod.critical) return 'critical pods are never evicted';
  if (usage === undefined) return 'nothing is known of it yet, so it goes first';
  if (resource === 'pids') return 'by priority, then by processes';
  return overRequest ? 'uses more than it requested' : 'within its request: goes after all that are over theirs';
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

const units = ['', 'Ki', 'Mi', 'Gi', 'Ti'];

/** Bytes with one digit after the point; everything else exactly. */
function readable(amount: number, resource: string): string {
  if (resource !== 'memory' && resource !== 'ephemeral-storage') return amountText(amount, resource);
  let value = amount;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Math.round(value * 10) / 10}${units[unit] ?? ''}`;
}
