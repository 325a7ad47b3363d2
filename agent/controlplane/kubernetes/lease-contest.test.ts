import { expect, test } from 'vitest';
import { LeaseContest } from './lease-contest.js';

/** `x` for a renewal that found the lease written by another, `.` for one that did not. */
function after(renewals: string): boolean {
  const contest = new LeaseContest();
  for (const each of renewals) {
    if (each === 'x') contest.lost();
    else contest.renewed();
  }
  return contest.isContested;
}

test.each([
  ['nobody else', '....', false],
  ['once', '..x', false],
  ['now and then', 'x....x....x....x....x', false],
  ['twice in a row', 'xx', true],
  ['in turns', 'x.x.x.x', true],
  ['one in three, the rhythm of two agents', 'x..x..x..x', true],
  ['one in three, for as long as it goes on', 'x..'.repeat(50), true],
  ['the other one has left', `${'x.'.repeat(50)}....`, false],
])('%s: %s', (_what, renewals, contested) => {
  expect(after(renewals)).toBe(contested);
});
