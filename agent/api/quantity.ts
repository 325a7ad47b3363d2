import { BerthError } from '../../base/errors.js';
import type { Quantity } from './generated/types.js';

/** How a quantity was written and is written again: `64Mi`, `500m`, `1e3`. */
export type QuantityFormat = 'binary' | 'decimal' | 'exponent';

/** A quantity as Kubernetes holds it: exact down to 10^-9, at most 2^63-1. */
export interface ExactQuantity {
  readonly nanos: bigint;
  readonly format: QuantityFormat;
}

export class QuantityError extends BerthError<{ code: 'bad-quantity'; text: string }> {}

const nano = 1_000_000_000n;
const nanosPerMilli = 1_000_000n;
const largest = (2n ** 63n - 1n) * nano;
/** Longer texts are refused: no real quantity needs them and big integers cost time that grows faster than their length. */
const longestText = 128;

const decimalExponents: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const decimalSuffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'] as const;
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;

const pattern = /^([+-]?)(\d*)(?:\.(\d*))?(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?$/;

/** Undefined when the text is no quantity. What is finer than 10^-9 is rounded away from zero, as the API server does. */
export function parseQuantity(quantity: Quantity): ExactQuantity | undefined {
  const text = typeof quantity === 'number' ? String(quantity) : quantity;
  if (text.length > longestText) return undefined;
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = '', suffix = ''] = match;
  if (whole === '' && fraction === '') return undefined;
  const digits = BigInt(whole + fraction);
  const { nanos, format } = scale(digits, fraction.length, suffix);
  const magnitude = nanos > largest ? largest : nanos;
  return {
    nanos: sign === '-' ? -magnitude : magnitude,
    format: format === 'binary' && magnitude < nano ? 'decimal' : format,
  };
}

function scale(digits: bigint, fractionDigits: number, suffix: string): ExactQuantity {
  const power = binarySuffixes.indexOf(suffix as (typeof binarySuffixes)[number]);
  if (suffix !== '' && power > 0) {
    const scaled = digits * 1024n ** BigInt(power) * nano;
    return { nanos: ceilDivide(scaled, 10n ** BigInt(fractionDigits)), format: 'binary' };
  }
  const named = decimalExponents[suffix];
  const exponent = (named ?? Number(suffix.slice(1))) - fractionDigits + 9;
  return { nanos: shiftDecimal(digits, exponent), format: named === undefined ? 'exponent' : 'decimal' };
}

/** `digits` x 10^`exponent`, rounded up; exponents no result could need are cut so that `1e999999999` costs nothing. */
function shiftDecimal(digits: bigint, exponent: number): bigint {
  if (digits === 0n) return 0n;
  if (exponent >= 0) return exponent > 40 ? largest : digits * 10n ** BigInt(exponent);
  return exponent < -longestText - 40 ? 1n : ceilDivide(digits, 10n ** BigInt(-exponent));
}

/** Rounds away from zero. */
function ceilDivide(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  if (dividend % divisor === 0n) return quotient;
  return dividend < 0n === divisor < 0n ? quotient + 1n : quotient - 1n;
}

/** As `parseQuantity`; throws `QuantityError` for what is no quantity. */
export function exactQuantity(quantity: Quantity): ExactQuantity {
  const exact = parseQuantity(quantity);
  if (exact === undefined) {
    throw new QuantityError(`read quantity ${JSON.stringify(quantity)}: ${quantityRule}`, {
      code: 'bad-quantity',
      text: String(quantity),
    });
  }
  return exact;
}

/** The API server's words for a quantity it cannot read. */
export const quantityRule =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/** The form the API server stores: the largest suffix that keeps the number an integer. */
export function formatQuantity({ nanos, format }: ExactQuantity): string {
  if (nanos === 0n) return '0';
  const small = nanos > -1024n * nano && nanos < 1024n * nano;
  if (format === 'binary' && !small && nanos % nano === 0n) return formatBinary(nanos / nano);
  let mantissa = nanos;
  let exponent = -9;
  while (mantissa % 1000n === 0n && exponent < 18) {
    mantissa /= 1000n;
    exponent += 3;
  }
  if (format === 'exponent') return exponent === 0 ? String(mantissa) : `${mantissa}e${exponent}`;
  return `${mantissa}${decimalSuffixes[exponent / 3 + 3] ?? ''}`;
}

function formatBinary(value: bigint): string {
  let mantissa = value;
  let power = 0;
  while (mantissa % 1024n === 0n && power < binarySuffixes.length - 1) {
    mantissa /= 1024n;
    power++;
  }
  return `${mantissa}${binarySuffixes[power] ?? ''}`;
}

export function canonicalQuantity(quantity: Quantity): string {
  return formatQuantity(exactQuantity(quantity));
}

/** Whole units, rounded away from zero: bytes of a memory quantity, CPUs of a CPU quantity. */
export function quantityValue(quantity: Quantity): number {
  return Number(ceilDivide(exactQuantity(quantity).nanos, nano));
}

/** Thousandths, rounded away from zero: the millicores of a CPU quantity. */
export function quantityMilliValue(quantity: Quantity): number {
  return Number(ceilDivide(exactQuantity(quantity).nanos, nanosPerMilli));
}

/** Negative, zero or positive as `a` is less than, equal to or more than `b`. */
export function compareQuantities(a: Quantity, b: Quantity): number {
  const left = exactQuantity(a).nanos;
  const right = exactQuantity(b).nanos;
  return left < right ? -1 : left > right ? 1 : 0;
}

export function maxQuantity(a: Quantity, b: Quantity): Quantity {
  return compareQuantities(a, b) >= 0 ? a : b;
}

export function isZeroQuantity(quantity: Quantity): boolean {
  return exactQuantity(quantity).nanos === 0n;
}

/** The sum keeps the format of the first that is not zero. */
export function addQuantities(a: Quantity, b: Quantity): string {
  const left = exactQuantity(a);
  const right = exactQuantity(b);
  return formatQuantity({ nanos: left.nanos + right.nanos, format: (left.nanos === 0n ? right : left).format });
}

export function subtractQuantities(a: Quantity, b: Quantity): string {
  const left = exactQuantity(a);
  const right = exactQuantity(b);
  return formatQuantity({ nanos: left.nanos - right.nanos, format: (left.nanos === 0n ? right : left).format });
}

/** How often `divisor` fits, rounded up: the value of a `resourceFieldRef`. A divisor of zero counts as one. */
export function divideQuantity(quantity: Quantity, divisor: Quantity): number {
  const by = exactQuantity(divisor).nanos;
  return Number(ceilDivide(exactQuantity(quantity).nanos, by === 0n ? nano : by));
}

/** Rounded up to thousandths, as the API server does with every resource of a pod. */
export function roundUpToMilli(quantity: Quantity): string {
  const { nanos, format } = exactQuantity(quantity);
  return formatQuantity({ nanos: ceilDivide(nanos, nanosPerMilli) * nanosPerMilli, format });
}
