import { expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import type { ProgramEnd, ProgramResult } from '../../../base/run-program.js';
import { onAbort } from '../../../base/signals.js';
import type { MountRequest } from './mounter.js';
import { SlowMounts } from './slow-mounts.js';

const request: MountRequest = { source: 'server:/srv', target: '/pods/a', fsType: 'nfs', options: [] };
const signal = new AbortController().signal;

function ended(code: number, stderr = ''): ProgramResult {
  const end: ProgramEnd = { kind: 'exited', code };
  return { argv: ['mount'], end, stdout: Buffer.alloc(0), stderr, fd3: Buffer.alloc(0), durationMs: 1 };
}

/** A `mount` that ends when it is told to. */
function world() {
  const programs: Array<{ end: (result: ProgramResult) => void; say: (words: string) => void; killed: boolean }> = [];
  const lifetime = new AbortController();
  const mounter = {
    mountOne: (
      _request: MountRequest,
      _timeoutMs: number,
      asked: AbortSignal,
      say: (words: string) => void = () => {},
    ) =>
      new Promise<ProgramResult>((end, reject) => {
        const program = { end, say, killed: false };
        programs.push(program);
        onAbort(asked, () => {
          program.killed = true;
          reject(asked.reason as Error);
        });
      }),
  };
  const mounts = new SlowMounts({ patienceMs: 20, timeoutMs: 1000 }, { mounter, clock: systemClock }, lifetime.signal);
  let told = 0;
  return { mounts, programs, lifetime, ask: () => mounts.mount(request, () => void told++, signal), told: () => told };
}

test('one that ends in time is an answer like any other, and the next is begun anew', async () => {
  const { ask, programs, told } = world();
  const first = ask();
  programs[0]?.end(ended(32, 'no such host'));
  expect(await first).toMatchObject({ stderr: 'no such host' });
  const second = ask();
  programs[1]?.end(ended(0));
  expect(await second).toMatchObject({ end: { code: 0 } });
  expect(told()).toBe(0);
});

test('one that takes longer: who asked knows what it said, who asks again joins it, and its end is told', async () => {
  const { ask, programs, told } = world();
  const first = ask();
  programs[0]?.say('no answer yet\n');
  const slow = await first;
  expect(slow).toMatchObject({ said: 'no answer yet' });
  expect(await ask()).toEqual(slow);
  expect(programs).toHaveLength(1);
  programs[0]?.end(ended(32, 'timed out'));
  await expect.poll(told).toBe(2);
  // Nobody has heard of this end yet.
  expect(await ask()).toMatchObject({ stderr: 'timed out' });
  expect(programs).toHaveLength(1);
  void ask();
  expect(programs).toHaveLength(2);
});

test('it is killed for nobody but who stops it, and with the agent', async () => {
  const { mounts, ask, programs, lifetime } = world();
  const controller = new AbortController();
  const given = mounts.mount(request, () => {}, controller.signal);
  controller.abort(new Error('no longer wanted'));
  await expect(given).rejects.toThrow('no longer wanted');
  expect(programs[0]?.killed).toBe(false);
  await mounts.stop(request.target);
  expect(programs[0]?.killed).toBe(true);
  await mounts.stop(request.target);
  const next = ask();
  expect(programs).toHaveLength(2);
  lifetime.abort(new Error('the agent ends'));
  await expect(next).rejects.toThrow('the agent ends');
  expect(programs[1]?.killed).toBe(true);
});
