import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import type { Event } from '../api/index.js';
import { EventLog } from './event-log.js';

const minute = 60_000;
const pod = { kind: 'Pod', namespace: 'default', name: 'p', uid: 'u' };

function world(keep = 100) {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const log = new EventLog({ nodeName: 'n', keep }, { clock: { ...systemClock, now: () => now } });
  const heard: Event[] = [];
  log.onEvent((event) => heard.push(event));
  const say = (message: string, reason = 'Unhealthy', object: object = pod): void =>
    log.record(object, 'Warning', reason, message);
  const told = (): string[] => log.list().map(({ message, count }) => `${message} x${count}`);
  return { log, heard, say, told, pass: (ms: number) => (now += ms) };
}

const numbered = (count: number, from = 0): string[] => Array.from({ length: count }, (_, n) => `probe ${from + n}`);

test('an event that is repeated is counted under its name', () => {
  const { say, told, heard, pass } = world();
  say('once more');
  pass(minute);
  say('once more');
  expect(told()).toEqual(['once more x2']);
  expect(heard.map(({ metadata }) => metadata.name)).toEqual([heard[0]?.metadata.name, heard[0]?.metadata.name]);
  expect(heard[1]).toMatchObject({ firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:01:00Z' });
});

test('from the tenth message of one reason on there is one event, which has the newest words', () => {
  const { say, told, heard } = world();
  for (const each of numbered(12)) say(each);
  const own = numbered(9).map((each) => `${each} x1`);
  expect(told()).toEqual([...own, '(combined from similar events): probe 11 x3']);
  const names = new Set(heard.slice(9).map(({ metadata }) => metadata.name));
  expect(names.size).toBe(1);
  // One that has an event of its own keeps it.
  say('probe 0');
  expect(told().at(-1)).toBe('probe 0 x2');
});

test('other reasons and other pods are told by themselves, containers of one pod together', () => {
  const { say, told } = world();
  for (const each of numbered(9)) say(each);
  say('other', 'BackOff');
  say('other', 'Unhealthy', { ...pod, name: 'q', uid: 'v' });
  say('tenth', 'Unhealthy', { ...pod, fieldPath: 'spec.containers{c}' });
  expect(told().slice(9)).toEqual(['other x1', 'other x1', '(combined from similar events): tenth x1']);
});

test('after ten quiet minutes each message is an event again', () => {
  const { say, told, pass } = world();
  for (const each of numbered(11)) say(each);
  pass(10 * minute);
  say('not long enough');
  expect(told().at(-1)).toBe('(combined from similar events): not long enough x3');
  pass(10 * minute + 1);
  say('calm again');
  expect(told().at(-1)).toBe('calm again x1');
});

test('no message is longer than a cluster takes, and no more events are kept than asked for', () => {
  const { log, say } = world(20);
  for (const each of numbered(30)) say(each.padEnd(2000, '.'));
  for (const { message = '' } of log.list()) expect(message.length).toBe(1024);
  for (const each of numbered(30)) say('words', each);
  expect(log.list()).toHaveLength(20);
});
