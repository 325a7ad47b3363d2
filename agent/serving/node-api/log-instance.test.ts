import { describe, expect, test } from 'vitest';
import type { ContainerStatus } from '../../api/index.js';
import type { ObservedContainer } from '../../podloop/pod-facts.js';
import { chooseLogInstance } from './log-instance.js';

const base: ContainerStatus = { name: 'main', image: '', imageID: '', ready: false, restartCount: 3 };
const observed = {
  sandboxes: [],
  containers: [
    { containerId: 'berth://c', restartCount: 3 },
    { containerId: 'berth://b', restartCount: 2 },
  ] as ObservedContainer[],
};
const ended = (containerID: string) => ({ terminated: { exitCode: 1, containerID } });
const choose = (status: ContainerStatus | undefined, previous = false) =>
  chooseLogInstance({ pod: 'web', container: 'main', status, observed, previous });

describe('the log of', () => {
  test.each<[string, Partial<ContainerStatus>, boolean, number]>([
    ['a running container', { containerID: 'berth://c', state: { running: {} } }, false, 3],
    ['one that ended', { state: ended('berth://c') }, false, 3],
    ['one that waits for its restart', { state: { waiting: {} }, lastState: ended('berth://c') }, false, 3],
    ['the one before', { state: { running: {} }, lastState: ended('berth://b') }, true, 2],
    ['one the runtime forgot', { state: { running: {} }, lastState: ended('berth://gone') }, true, 2],
  ])('%s', (_what, status, previous, attempt) => {
    expect(choose({ ...base, ...status }, previous).attempt).toBe(attempt);
  });

  test.each<[string, ContainerStatus | undefined, boolean, string]>([
    [
      'never ended',
      { ...base, state: { running: {} } },
      true,
      'previous terminated container "main" in pod "web" not found',
    ],
    [
      'never started',
      { ...base, state: { waiting: { reason: 'ErrImagePull', message: 'no such image' } } },
      false,
      'container "main" in pod "web" is waiting to start: ErrImagePull: no such image',
    ],
    ['has no status', undefined, false, 'container "main" in pod "web" is waiting to start: ContainerCreating'],
  ])('one that %s is refused in the words people know', (_what, status, previous, message) => {
    expect(() => choose(status, previous)).toThrow(message);
  });
});
