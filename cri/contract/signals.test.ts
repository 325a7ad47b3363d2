import { expect, test } from 'vitest';
import { criSignal, signalNumber } from './signals.js';

test.each([
  ['SIGTERM', 15],
  ['term', 15],
  ['9', 9],
  ['SIGCLD', 17],
  ['SIGPOLL', 29],
  ['SIGRTMIN', 34],
  ['SIGRTMIN+3', 37],
  ['RTMAX-1', 63],
  ['SIGRTMINPLUS15', 49],
  ['SIGRTMAXMINUS14', 50],
  ['SIGRTMAX', 64],
  ['65', undefined],
  ['0', undefined],
  ['SIGNOPE', undefined],
  ['SIGRTMIN+40', undefined],
])('signalNumber(%j) is %j', (name, number) => {
  expect(signalNumber(name)).toBe(number);
});

test('every signal a container may have has a CRI name that means the same', () => {
  for (let number = 1; number <= 64; number++) {
    if (number === 16 || number === 32 || number === 33) continue;
    expect([criSignal(number), signalNumber(criSignal(number))]).toEqual([criSignal(number), number]);
  }
  expect([criSignal(15), criSignal(37), criSignal(63)]).toEqual(['SIGTERM', 'SIGRTMINPLUS3', 'SIGRTMAXMINUS1']);
  expect(criSignal(99)).toBe('RUNTIME_DEFAULT');
});
