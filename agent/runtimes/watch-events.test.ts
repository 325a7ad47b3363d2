import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { criLabels, type RuntimeService, type v1 } from '../../cri/index.js';
import { watchRuntimeEvents } from './watch-events.js';

const sandbox = (uid: string): v1.PodSandboxStatus => ({ id: 's', metadata: { uid, name: 'p', namespace: 'n' } });

test('ends and starts of containers are news, what our own steps did is not, and a deleted stranger is nothing', async () => {
  const events: v1.ContainerEventResponse[] = [
    { containerId: 's', containerEventType: 'CONTAINER_STARTED_EVENT', podSandboxStatus: sandbox('a') },
    { containerId: 'c', containerEventType: 'CONTAINER_CREATED_EVENT', podSandboxStatus: sandbox('a') },
    { containerId: 'c', containerEventType: 'CONTAINER_STARTED_EVENT', podSandboxStatus: sandbox('a') },
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
      changed: (uid, news) => told.push(`${uid} ${news ? 'news' : 'known'}`),
      missed: () => told.push('missed'),
    },
    stop.signal,
  );
  await expect(watching).rejects.toThrow('enough');
  expect(told).toEqual(['a known', 'a known', 'a news', 'b news', 'missed']);
});
