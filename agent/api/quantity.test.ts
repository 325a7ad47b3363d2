import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  divideQuantity,
  exactQuantity,
  formatQuantity,
  parseQuantity,
  quantityMilliValue,
  quantityValue,
  roundUpToMilli,
  subtractQuantities,
  type QuantityFormat,
} from './quantity.js';

describe('canonical form, as the API server writes it', () => {
  test.each([
    ['0', '0'],
    ['-0', '0'],
    ['0Gi', '0'],
    ['1', '1'],
    ['+1', '1'],
    ['-1', '-1'],
    ['1000', '1k'],
    ['1000m', '1'],
    ['100m', '100m'],
    ['0.1', '100m'],
    ['.5', '500m'],
    ['5.', '5'],
    ['0.5Gi', '512Mi'],
    ['1.5Gi', '1536Mi'],
    ['1024', '1024'],
    ['1024Ki', '1Mi'],
    ['1023Ki', '1023Ki'],
    ['1Ki', '1Ki'],
    ['0.5Ki', '512'],
    ['1000Ki', '1000Ki'],
    ['128974848', '128974848'],
    ['129e6', '129e6'],
    ['129M', '129M'],
    ['123Mi', '123Mi'],
    ['1e3', '1e3'],
    ['1E3', '1e3'],
    ['12e-1', '1200e-3'],
    ['1E', '1E'],
    ['1Ei', '1Ei'],
    ['1n', '1n'],
    ['1u', '1u'],
    ['0.1n', '1n'],
    ['-0.1n', '-1n'],
    ['0.0000000001Ki', '103n'],
    ['100Ei', '9223372036854775807'],
    ['1e999999999', '9223372036854775807'],
    ['1e-999999999', '1e-9'],
    ['0.1Ki', '102400m'],
    ['1.25', '1250m'],
    ['4000000000m', '4M'],
  ])('%s is %s', (text, canonical) => {
    expect(canonicalQuantity(text)).toBe(canonical);
  });

  test.each([
    '',
    ' ',
    '1 ',
    ' 1',
    'Mi',
    '.',
    '+',
    '-',
    '1mi',
    '1KI',
    '1kb',
    '1MB',
    '64 Mi',
    '1e',
    '1e+',
    '--1',
    '1,5',
    '0x10',
    '1_000',
    'NaN',
    'Infinity',
  ])('%j is none', (text) => {
    expect(parseQuantity(text)).toBeUndefined();
  });

  test('a text of megabytes is refused at once', () => {
    const text = '9'.repeat(2_000_000);
    const times = Array.from({ length: 5 }, () => {
      const started = performance.now();
      expect(parseQuantity(text)).toBeUndefined();
      return performance.now() - started;
    });
    // The best of them: the machine is shared.
    expect(Math.min(...times)).toBeLessThan(100);
  });

  test('numbers of JSON are quantities too', () => {
    expect(canonicalQuantity(0.5)).toBe('500m');
    expect(canonicalQuantity(2)).toBe('2');
    expect(canonicalQuantity(1e21)).toBe('9223372036854775807');
  });
});

describe('values are rounded away from zero', () => {
  test.each([
    ['1', 1, 1000],
    ['1m', 1, 1],
    ['1u', 1, 1],
    ['1001m', 2, 1001],
    ['-1m', -1, -1],
    ['64Mi', 67_108_864, 67_108_864_000],
    ['1.5', 2, 1500],
  ])('%s is %d whole units and %d thousandths', (text, whole, thousandths) => {
    expect(quantityValue(text)).toBe(whole);
    expect(quantityMilliValue(text)).toBe(thousandths);
  });
});

test.each([
  ['1500m', '1', 2],
  ['1500m', '1m', 1500],
  ['64Mi', '1Mi', 64],
  ['64Mi', '1Gi', 1],
  ['64Mi', '0', 67_108_864],
  ['100M', '1Mi', 96],
])('%s divided by %s is %d', (quantity, divisor, times) => {
  expect(divideQuantity(quantity, divisor)).toBe(times);
});

test('a sum keeps the format of its first part that is not zero', () => {
  expect(addQuantities('1Gi', '512M')).toBe('1548576Ki');
  expect(addQuantities('0', '1Gi')).toBe('1Gi');
  expect(addQuantities('1Gi', '1Gi')).toBe('2Gi');
  expect(subtractQuantities('1Gi', '512Mi')).toBe('512Mi');
  expect(roundUpToMilli('1u')).toBe('1m');
});

const formats: QuantityFormat[] = ['binary', 'decimal', 'exponent'];
const exact = fc.record({
  nanos: fc.bigInt({ min: -(2n ** 63n - 1n) * 1_000_000_000n, max: (2n ** 63n - 1n) * 1_000_000_000n }),
  format: fc.constantFrom(...formats),
});

test('writing and reading give the same amount', () => {
  fc.assert(
    fc.property(exact, (quantity) => {
      const text = formatQuantity(quantity);
      expect(exactQuantity(text).nanos).toBe(quantity.nanos);
      expect(canonicalQuantity(text)).toBe(text);
    }),
  );
});

test('adding and taking away cancel, and comparing agrees with them', () => {
  const small = fc.bigInt({ min: -(10n ** 24n), max: 10n ** 24n });
  fc.assert(
    fc.property(small, small, fc.constantFrom(...formats), (a, b, format) => {
      const left = formatQuantity({ nanos: a, format });
      const right = formatQuantity({ nanos: b, format });
      expect(exactQuantity(subtractQuantities(addQuantities(left, right), right)).nanos).toBe(a);
      expect(compareQuantities(left, right)).toBe(a < b ? -1 : a > b ? 1 : 0);
    }),
  );
});

test('no text makes it throw', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^[+-]?[0-9.]{0,5}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,4}$/)),
      (text) => {
        const parsed = parseQuantity(text);
        if (parsed !== undefined) expect(exactQuantity(formatQuantity(parsed)).nanos).toBe(parsed.nanos);
      },
    ),
  );
});
