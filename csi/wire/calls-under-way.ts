import type { CallOutcome, CallRecorder, CallSubject, PluginCall } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';

/** A call of a storage driver that has not ended. */
export interface DriverCall {
  readonly interface: 'csi' | 'flexvolume';
  readonly driver: string;
  /** The protocol's own word: `NodeStageVolume`, `mountdevice`. */
  readonly verb: string;
  readonly subject: CallSubject;
  /** ms since the epoch. */
  readonly since: number;
  /** 1 for the first; how often this was asked for in a row, the failures before it included. */
  readonly attempt: number;
  /** What the last of those failures said, secrets masked. */
  readonly lastAnswer: string | undefined;
  /** What the driver printed so far, secrets masked; its end when it is long. */
  readonly said: string;
}

export interface CallHandle {
  /** The driver printed this. */
  readonly say: (text: string) => void;
  readonly end: (outcome: CallOutcome) => void;
}

interface Failed {
  readonly times: number;
  readonly answer: string;
}

interface Entry extends Omit<DriverCall, 'said'> {
  said: string;
  readonly mask: (text: string) => string;
}

/** Of the driver's words the last are kept. */
const mostWords = 2000;
/** Failures of volumes that nobody asks for any more would gather otherwise. */
const mostRemembered = 500;

/**
 * The calls of drivers that are under way, on their way to the recorder: what a pod that waits for one of them can be told while nothing has
 * been answered yet.
 */
export class CallsUnderWay implements CallRecorder {
  readonly #recorder: CallRecorder;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #calls = new Set<Entry>();
  /** Calls that failed and have not succeeded since. */
  readonly #failed = new Map<string, Failed>();

  constructor(recorder: CallRecorder, clock: Pick<Clock, 'now'>) {
    this.#recorder = recorder;
    this.#clock = clock;
  }

  /** Oldest first. */
  list(): DriverCall[] {
    return [...this.#calls].map(({ mask, said, ...call }) => ({ ...call, said: mask(said).trim() }));
  }

  begin(call: PluginCall): (outcome: CallOutcome) => void {
    return this.open(call).end;
  }

  /** `mask` takes the secrets of the call out of what the driver prints. */
  open(call: PluginCall, mask: (text: string) => string = (text) => text): CallHandle {
    const key = keyOf(call);
    const failed = this.#failed.get(key);
    const entry: Entry = {
      interface: call.interface === 'flexvolume' ? 'flexvolume' : 'csi',
      driver: call.plugin,
      verb: call.verb,
      subject: call.subject,
      since: this.#clock.now(),
      attempt: (failed?.times ?? 0) + 1,
      lastAnswer: failed?.answer,
      said: '',
      mask,
    };
    this.#calls.add(entry);
    const recorded = this.#recorder.begin(call);
    return {
      say: (text) => {
        entry.said = `${entry.said}${text}`.slice(-mostWords);
      },
      end: (outcome) => {
        this.#calls.delete(entry);
        this.#remember(key, entry, outcome);
        recorded(outcome);
      },
    };
  }

  #remember(key: string, { attempt }: Entry, { error }: CallOutcome): void {
    // One that was given up answered nothing.
    if (error === givenUp) return;
    this.#failed.delete(key);
    if (!error) return;
    this.#failed.set(key, { times: attempt, answer: error.message });
    for (const oldest of this.#failed.keys()) {
      if (this.#failed.size <= mostRemembered) break;
      this.#failed.delete(oldest);
    }
  }
}

/** How a call ends whose caller does not wait for it any more. */
export const givenUp = { code: 'cancelled', message: 'given up' } as const;

const keyOf = ({ plugin, verb, subject }: PluginCall): string =>
  JSON.stringify([plugin, verb, subject.podUid, subject.object]);
