import { expect, test } from 'vitest';
import { decodeOutcome, encodeOutcome, encodeOutcomeText, type CommandOutcome } from './command-outcome.js';

const outcomes: readonly CommandOutcome[] = [
  { kind: 'exited', exitCode: 0 },
  { kind: 'exited', exitCode: 137 },
  { kind: 'failed', message: 'the container is gone' },
];

test.each(outcomes)('%j survives the error stream', (outcome) => {
  expect(decodeOutcome(encodeOutcome(outcome))).toEqual(outcome);
});

test('the protocols before v4 say nothing for success', () => {
  expect(outcomes.map(encodeOutcomeText)).toEqual([
    '',
    'command terminated with exit code 137',
    'the container is gone',
  ]);
});

test.each(['', 'no JSON', '[1', '"text"'])('%j is no outcome', (text) => {
  expect(() => decodeOutcome(text)).toThrow('not a Status');
});
