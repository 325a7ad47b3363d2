import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { criError, criLabels, type RuntimeService, type v1 } from '../../cri/index.js';
import { watchRuntimeEvents } from './watch-events.js';

const sandbox = (uid: string): v1.PodSandboxStatus => ({ id: 's', metadata: { uid, name: 'p', namespace: 'n' } });

test('ends are news, what our own steps did is not, and a deleted stranger is nothing', async () => {
  const events: v1.ContainerEventResponse[] = [
    { containerId: 's', containerEventType: 'CONTAINER_STARTED_EVENT', podSandboxStatus: sandbox('a') },
    { containerId: 'c', containerEventType: 'CONTAINER_CREATED_EVENT', podSandboxStatus: sandbox('a') },
    {
      containerId: 'c',
      containerEventType: 'CONTAINER_STARTED_EVENT',
      podSandboxStatus: sandbox('a'),
      containersStatuses: [{ id: 'b' }, { id: 'c' }],
    },
    {
      containerId: 'c',
      containerEventType: 'CONTAINER_STOPPED_EVENT',
      containersStatuses: [{ labels: { [criLabels.podUid]: 'b' } }],
    },
    { containerId: 'x', containerEventType: 'CONTAINER_DELETED_EVENT' },
    { containerId: 'y', containerEventType: 'CONTAINER_STOPPED_EVENT' },
  ];
  const told: string[] = [];
  const stop = new AbortController();
  const runtime = {
    async *containerEvents() {
      yield* events;
      stop.abort(new Error('enough'));
    },
  } as unknown as RuntimeService;
  const watching = watchRuntimeEvents(
    {
      clock: systemClock,
      log: silentLogger,
      runtime,
      changed: (uid, { id, became, said }, news) =>
        told.push(
          `${uid} ${id} ${became} ${news ? 'news' : 'known'}${said ? `, said of ${said.kind} ${said.status.id}` : ''}`,
        ),
      missed: () => told.push('missed'),
      relist: () => Promise.resolve(),
      cut: () => told.push('cut'),
    },
    stop.signal,
  );
  await expect(watching).rejects.toThrow('enough');
  expect(told).toEqual([
    'a s running known, said of sandbox s',
    'a c created known',
    'a c running known, said of container c',
    'b c exited news',
    'missed',
  ]);
});

test('what an event says that was kept from before the stream is not how it is', async () => {
  const began = Date.parse('2026-01-01T12:00:00Z');
  const at = (ms: number): v1.ContainerEventResponse => ({
    ...{ containerId: 's', containerEventType: 'CONTAINER_STARTED_EVENT', podSandboxStatus: sandbox('a') },
    createdAt: (began + ms) * 1_000_000,
  });
  const told: unknown[] = [];
  const stop = new AbortController();
  const runtime = {
    async *containerEvents() {
      yield* [at(-1), at(0)];
      stop.abort(new Error('enough'));
    },
  } as unknown as RuntimeService;
  const watching = watchRuntimeEvents(
    {
      clock: { now: () => began, sleep: () => Promise.reject(new Error('enough')) },
      log: silentLogger,
      runtime,
      changed: (_uid, { became, said }) => told.push([became, said?.status.id]),
      missed: () => told.push('missed'),
      relist: () => Promise.resolve(),
      cut: () => told.push('cut'),
    },
    stop.signal,
  );
  await expect(watching).rejects.toThrow('enough');
  expect(told).toEqual([
    ['running', undefined],
    ['running', 's'],
  ]);
});

test('a runtime without events is looked at from time to time; when it goes away, that is told and events are asked for again', async () => {
  const told: string[] = [];
  const stop = new AbortController();
  let asked = 0;
  const runtime = {
    async *containerEvents(): AsyncGenerator<v1.ContainerEventResponse> {
      told.push('events?');
      if (++asked === 1) throw criError('unimplemented', 'none here');
      yield { containerId: 'c', containerEventType: 'CONTAINER_STOPPED_EVENT', podSandboxStatus: sandbox('a') };
      stop.abort(new Error('enough'));
    },
  } as unknown as RuntimeService;
  let looks = 0;
  const watching = watchRuntimeEvents(
    {
      clock: { now: () => 0, sleep: () => Promise.resolve() },
      log: silentLogger,
      runtime,
      changed: (uid) => told.push(uid),
      missed: () => told.push('missed'),
      relist: async () => {
        told.push('look');
        if (++looks === 3) throw criError('unavailable', 'gone');
      },
      cut: () => told.push('cut'),
    },
    stop.signal,
  );
  await watching;
  expect(told).toEqual(['events?', 'look', 'look', 'look', 'cut', 'missed', 'events?', 'a', 'missed']);
});

test('a runtime whose events end at once, without one and without a failure, has none: it is looked at from time to time', async () => {
  const told: string[] = [];
  const stop = new AbortController();
  let now = 0;
  let asked = 0;
  const runtime = {
    async *containerEvents(): AsyncGenerator<v1.ContainerEventResponse> {
      told.push('events?');
      if (++asked === 4) {
        yield { containerId: 'c', containerEventType: 'CONTAINER_STOPPED_EVENT', podSandboxStatus: sandbox('a') };
        now += 60_000;
      }
      if (asked === 5) stop.abort(new Error('enough'));
    },
  } as unknown as RuntimeService;
  let looks = 0;
  await watchRuntimeEvents(
    {
      clock: {
        now: () => now,
        sleep: async (ms) => {
          now += ms;
          told.push(`${ms} ms`);
        },
      },
      log: silentLogger,
      runtime,
      changed: (uid) => told.push(uid),
      missed: () => told.push('missed'),
      relist: async () => {
        told.push('look');
        if (++looks === 3) throw criError('unavailable', 'gone');
      },
      cut: () => told.push('cut'),
    },
    stop.signal,
  );
  const look = ['events?', '2000 ms', 'look'];
  const back = ['100 ms', 'missed'];
  expect(told).toEqual([...look, ...look, ...look, 'cut', ...back, 'events?', 'a', ...back, 'events?', ...back]);
});
