import { expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { watchRuntimeEvents } from '../../../agent/runtimes/watch-events.js';
import { Crio, missingForCrio } from '../../support/crio.js';

const missing = missingForCrio();
if (missing !== undefined) console.warn(`SKIPPED CRI-O without events: needs ${missing}`);

test.skipIf(missing !== undefined)(
  'CRI-O as it comes sends no events: it is looked at, and not taken for one that went away',
  async () => {
    await using crio = await Crio.open({ podEvents: false });
    await using remote = await crio.connect();
    const told: string[] = [];
    const stop = new AbortController();
    const tell = (word: string): void => {
      if (told.push(word) === 2) stop.abort(new Error('enough'));
    };
    await watchRuntimeEvents(
      {
        clock: systemClock,
        log: silentLogger,
        runtime: remote.runtime,
        changed: () => tell('changed'),
        missed: () => tell('missed'),
        relist: async () => tell('looked'),
        cut: () => tell('cut'),
      },
      stop.signal,
    );
    expect(told).toEqual(['looked', 'looked']);
  },
);
