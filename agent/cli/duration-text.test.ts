import { expect, test } from 'vitest';
import { secondsOf } from './duration-text.js';

test.each<[string, number | undefined]>([
  ['90', 90],
  ['30s', 30],
  ['1h30m', 5400],
  ['1.5h', 5400],
  ['500ms', 0.5],
  ['1m0.5s', 60.5],
  ['', undefined],
  ['5 minutes', undefined],
  ['-5s', undefined],
  ['1.2.3s', undefined],
  ['2d', undefined],
])('%j', (text, seconds) => expect(secondsOf(text)).toBe(seconds));
