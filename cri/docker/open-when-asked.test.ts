import { expect, test } from 'vitest';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from '../contract/cri-error.js';
import type { CriRuntime } from '../contract/runtime.js';
import { openWhenAsked } from './open-when-asked.js';

const { signal } = new AbortController();

class Daemon {
  opened = 0;
  closed = 0;
  away: string | undefined;

  readonly open = async (): Promise<CriRuntime> => {
    this.opened++;
    await Promise.resolve();
    if (this.away !== undefined) throw criError('unavailable', this.away);
    return {
      runtime: {
        version: async () => ({ runtimeName: 'late' }),
        async *containerEvents() {
          yield { containerId: 'c' } satisfies v1.ContainerEventResponse;
        },
      },
      images: { listImages: async () => ({ images: [] }) },
      streaming: {},
      [Symbol.asyncDispose]: async () => void this.closed++,
    } as unknown as CriRuntime;
  };
}

test('nothing is opened before the first call; calls at once open it once', async () => {
  const daemon = new Daemon();
  await using late = openWhenAsked(daemon.open);
  expect(daemon.opened).toBe(0);
  const answers = await Promise.all([late.runtime.version({}, signal), late.images.listImages({}, signal)]);
  expect(answers).toEqual([{ runtimeName: 'late' }, { images: [] }]);
  const events: unknown[] = [];
  for await (const event of late.runtime.containerEvents(signal)) events.push(event);
  expect(events).toEqual([{ containerId: 'c' }]);
  expect(daemon.opened).toBe(1);
});

test('while it cannot be opened every call says why, and the next one tries again', async () => {
  const daemon = new Daemon();
  daemon.away = 'engine 19.03 is too old';
  const late = openWhenAsked(daemon.open);
  await expect(late.runtime.version({}, signal)).rejects.toThrow('too old');
  await expect(late.images.listImages({}, signal)).rejects.toThrow('too old');
  await expect(late.runtime.containerEvents(signal)[Symbol.asyncIterator]().next()).rejects.toThrow('too old');
  daemon.away = undefined;
  expect(await late.runtime.version({}, signal)).toEqual({ runtimeName: 'late' });
  expect([daemon.opened, daemon.closed]).toEqual([4, 0]);
  await late[Symbol.asyncDispose]();
  expect(daemon.closed).toBe(1);
});

test('a call that is told to stop does not wait for the opening', async () => {
  const stop = new AbortController();
  const late = openWhenAsked(() => new Promise(() => {}));
  const asked = late.runtime.version({}, stop.signal);
  stop.abort(new Error('enough'));
  await expect(asked).rejects.toThrow('enough');
});
