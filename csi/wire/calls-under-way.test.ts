import { expect, test } from 'vitest';
import type { CallOutcome, PluginCall } from '../../base/call-recorder.js';
import { CallsUnderWay, givenUp } from './calls-under-way.js';
import { secretMask } from './secret-mask.js';

const call: PluginCall = {
  interface: 'csi',
  plugin: 'disk.example.com',
  verb: 'NodeStageVolume',
  subject: { object: 'pv-1', podUid: 'u' },
};

function world() {
  const recorded: Array<[PluginCall, CallOutcome]> = [];
  const clock = { now: 0 };
  const calls = new CallsUnderWay(
    { begin: (one) => (outcome) => void recorded.push([one, outcome]) },
    { now: () => clock.now },
  );
  return { calls, recorded, clock };
}

test('a call is told of from its beginning to its end, which the recorder hears', () => {
  const { calls, recorded, clock } = world();
  clock.now = 5000;
  const end = calls.begin(call);
  expect(calls.list()).toEqual([
    {
      interface: 'csi',
      driver: 'disk.example.com',
      verb: 'NodeStageVolume',
      subject: call.subject,
      since: 5000,
      attempt: 1,
      lastAnswer: undefined,
      said: '',
    },
  ]);
  end({ response: 'fine' });
  expect(calls.list()).toEqual([]);
  expect(recorded).toEqual([[call, { response: 'fine' }]]);
});

test('a call that failed before says how often and with what words; a success and another volume begin anew', () => {
  const { calls } = world();
  calls.begin(call)({ error: { code: 'unavailable', message: 'the array restarts' } });
  calls.begin(call)({ error: { code: 'internal', message: 'the array burns' } });
  const third = calls.begin(call);
  const other = calls.begin({ ...call, subject: { object: 'pv-2' } });
  expect(calls.list()).toMatchObject([
    { attempt: 3, lastAnswer: 'the array burns' },
    { attempt: 1, lastAnswer: undefined },
  ]);
  other({ response: {} });
  // Nobody waited for the end: the driver said nothing.
  third({ error: givenUp });
  const fourth = calls.begin(call);
  expect(calls.list()).toMatchObject([{ attempt: 3, lastAnswer: 'the array burns' }]);
  fourth({ response: {} });
  calls.begin(call);
  expect(calls.list()).toMatchObject([{ attempt: 1, lastAnswer: undefined }]);
});

test('what the driver printed so far is there without its secrets, and no more than can be read', () => {
  const { calls } = world();
  const handle = calls.open({ ...call, interface: 'flexvolume' }, secretMask({ password: 'open-sesame' }));
  handle.say('log in with open-se');
  handle.say('same\n');
  expect(calls.list()).toMatchObject([{ interface: 'flexvolume', said: 'log in with ***' }]);
  handle.say('x'.repeat(10_000));
  expect(calls.list()[0]?.said).toHaveLength(2000);
});

test('failures of volumes that nobody asks for any more are forgotten', () => {
  const { calls } = world();
  const of = (index: number): PluginCall => ({ ...call, subject: { object: `pv-${index}` } });
  for (let index = 0; index <= 500; index++)
    calls.begin(of(index))({ error: { code: 'internal', message: `${index}` } });
  calls.begin(of(0));
  calls.begin(of(1));
  expect(calls.list()).toMatchObject([{ attempt: 1 }, { attempt: 2 }]);
});
