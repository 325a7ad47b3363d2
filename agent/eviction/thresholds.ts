import { BerthError } from '../../base/errors.js';
import { parseQuantity, quantityValue, type ResourceList } from '../api/index.js';
import type { FilesystemLayout } from '../stats/index.js';
import { containerFilesystem, isEvictionSignal, type EvictionSignal, type Observation } from './signals.js';

/** An amount, or a share of the capacity. */
export type ThresholdValue =
  { readonly kind: 'amount'; readonly amount: number } | { readonly kind: 'share'; readonly share: number };

export interface Threshold {
  readonly signal: EvictionSignal;
  readonly value: ThresholdValue;
  /** 0 for a hard threshold. */
  readonly graceMs: number;
  readonly minReclaim: ThresholdValue | undefined;
}

/** The fields of KubeletConfiguration, as written. */
export interface EvictionSettings {
  readonly evictionHard: Readonly<Record<string, string>> | undefined;
  readonly evictionSoft: Readonly<Record<string, string>>;
  readonly evictionSoftGracePeriodMs: Readonly<Record<string, number>>;
  readonly evictionMinimumReclaim: Readonly<Record<string, string>>;
  readonly mergeDefaultEvictionSettings: boolean;
}

export class EvictionConfigError extends BerthError<{ code: 'bad-threshold'; field: string; signal: string }> {}

export const defaultHardThresholds: Readonly<Record<string, string>> = {
  'memory.available': '100Mi',
  'nodefs.available': '10%',
  'nodefs.inodesFree': '5%',
  'imagefs.available': '15%',
  'imagefs.inodesFree': '5%',
};

/**
 * The thresholds of a configuration, with those that follow from others. Throws `EvictionConfigError` naming the field. A hard threshold of 0% or
 * 100% turns its signal off.
 */
export function parseThresholds(settings: EvictionSettings, podsEnforced: boolean): Threshold[] {
  const { evictionHard, mergeDefaultEvictionSettings } = settings;
  const hard =
    evictionHard === undefined || mergeDefaultEvictionSettings
      ? { ...defaultHardThresholds, ...evictionHard }
      : evictionHard;
  const thresholds = [
    ...parseStatements('evictionHard', hard, settings, () => 0),
    ...parseStatements('evictionSoft', settings.evictionSoft, settings, (signal) => {
      const grace = settings.evictionSoftGracePeriodMs[signal];
      if (grace === undefined) throw fail('evictionSoft', signal, 'has no evictionSoftGracePeriod');
      if (grace < 0) throw fail('evictionSoftGracePeriod', signal, 'must not be negative');
      return grace;
    }),
  ];
  const allocatable = thresholds
    .filter(({ signal, graceMs }) => podsEnforced && signal === 'memory.available' && graceMs === 0)
    .map((threshold): Threshold => ({ ...threshold, signal: 'allocatableMemory.available' }));
  return [...thresholds, ...allocatable];
}

/** containerfs has the thresholds of the filesystem it lies on; values a user sets for it are ignored. */
export function withContainerfs(thresholds: readonly Threshold[], layout: FilesystemLayout): readonly Threshold[] {
  const host = containerFilesystem(layout);
  const own = thresholds.filter(({ signal }) => !signal.startsWith('containerfs.'));
  const derived = own
    .filter(({ signal }) => signal.startsWith(`${host}.`))
    .map((threshold): Threshold => ({
      ...threshold,
      signal: threshold.signal.replace(host, 'containerfs') as EvictionSignal,
    }));
  return [...own, ...derived];
}

/** What hard thresholds keep from pods: memory, and the disk that volumes and logs lie on. */
export function evictionReserve(settings: EvictionSettings, capacity: ResourceList): ResourceList {
  const reserve: ResourceList = {};
  const kept = { 'memory.available': 'memory', 'nodefs.available': 'ephemeral-storage' } as const;
  for (const threshold of parseThresholds(settings, false)) {
    const resource = kept[threshold.signal as keyof typeof kept];
    const there = resource === undefined ? undefined : capacity[resource];
    if (threshold.graceMs > 0 || resource === undefined || there === undefined) continue;
    reserve[resource] = String(amountOf(threshold.value, { available: 0, capacity: quantityValue(there) }));
  }
  return reserve;
}

export function amountOf(value: ThresholdValue, { capacity }: Observation): number {
  return value.kind === 'amount' ? value.amount : Math.floor(capacity * value.share);
}

function parseStatements(
  field: string,
  statements: Readonly<Record<string, string>>,
  settings: EvictionSettings,
  graceOf: (signal: string) => number,
): Threshold[] {
  return Object.entries(statements).flatMap(([signal, text]): Threshold[] => {
    if (!isEvictionSignal(signal)) throw fail(field, signal, 'is no eviction signal');
    if (text === '0%' || text === '100%') return [];
    const problem = thresholdProblem(text, false);
    if (problem !== undefined) throw fail(field, signal, problem);
    const reclaim = settings.evictionMinimumReclaim[signal];
    const wrongReclaim = reclaim === undefined ? undefined : thresholdProblem(reclaim, true);
    if (wrongReclaim !== undefined) throw fail('evictionMinimumReclaim', signal, wrongReclaim);
    const minReclaim = reclaim === undefined ? undefined : valueOf(reclaim);
    return [{ signal, value: valueOf(text), graceMs: graceOf(signal), minReclaim }];
  });
}

/** Why a text is no value of a threshold, or of what is to be reclaimed at least; undefined when it is one. */
export function thresholdProblem(text: string, mayBeNothing: boolean): string | undefined {
  if (text.endsWith('%')) {
    const share = Number(text.slice(0, -1)) / 100;
    return Number.isFinite(share) && share >= 0 && share <= 1 ? undefined : `${text} is no share of 0% to 100%`;
  }
  if (parseQuantity(text) === undefined) return `${text} is neither a quantity nor a percentage`;
  const amount = quantityValue(text);
  if (amount < 0) return `${text} must not be negative`;
  return amount === 0 && !mayBeNothing ? `${text} must be positive` : undefined;
}

function valueOf(text: string): ThresholdValue {
  if (text.endsWith('%')) return { kind: 'share', share: Number(text.slice(0, -1)) / 100 };
  return { kind: 'amount', amount: quantityValue(text) };
}

function fail(field: string, signal: string, reason: string): EvictionConfigError {
  return new EvictionConfigError(`read ${field}: ${signal}: ${reason}`, { code: 'bad-threshold', field, signal });
}
