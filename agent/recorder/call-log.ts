import { appendFile, mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallOutcome, CallRecorder, PluginCall } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { SecretMask } from './mask-secrets.js';
import { readCalls } from './read-calls.js';
import type { RecordedCall } from './recorded-call.js';

export interface CallLogOptions {
  /** Folder of the record on disk; two files of `maxFileBytes` at most. */
  readonly dir: string;
  readonly maxFileBytes: number;
  /** Calls kept in memory. */
  readonly keep: number;
  /** How long ended calls are gathered before one write. */
  readonly flushAfterMs: number;
}

interface Entry {
  readonly id: number;
  readonly call: PluginCall;
  readonly startedAt: number;
  durationMs: number | undefined;
  outcome: CallOutcome | undefined;
}

/**
 * The plugin recorder: what was asked, what came back, how long it took, for which pod. Calls are masked and written in batches,
 * off the caller's path; memory and disk are bounded.
 */
export class CallLog implements CallRecorder, AsyncDisposable {
  readonly #options: CallLogOptions;
  readonly #deps: { readonly clock: Clock; readonly log: Logger };
  readonly #calls: Entry[] = [];
  #unwritten: Entry[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #nextId = 1;
  readonly #openedAt: number;
  readonly #listeners = new Set<(call: RecordedCall) => void>();
  readonly #mask = new SecretMask();

  constructor(options: CallLogOptions, deps: { clock: Clock; log: Logger }) {
    this.#options = options;
    this.#deps = deps;
    this.#openedAt = deps.clock.now();
  }

  begin(call: PluginCall): (outcome: CallOutcome) => void {
    const entry: Entry = {
      id: this.#nextId++,
      call,
      startedAt: this.#deps.clock.now(),
      durationMs: undefined,
      outcome: undefined,
    };
    const started = performance.now();
    this.#calls.push(entry);
    if (this.#calls.length > this.#options.keep) this.#calls.shift();
    this.#tell(entry);
    return (outcome) => {
      entry.durationMs = performance.now() - started;
      entry.outcome = outcome;
      this.#unwritten.push(entry);
      this.#tell(entry);
      this.#timer ??= setTimeout(() => this.#flush(), this.#options.flushAfterMs).unref();
    };
  }

  /** Oldest first, masked. */
  list(filter: (call: RecordedCall) => boolean = () => true): RecordedCall[] {
    return this.#calls.filter(filter).map((entry) => this.#masked(entry));
  }

  /** What is on disk and no longer in memory, of this run and those before it: the last `atMost`, oldest first. */
  async earlier(
    filter: (call: RecordedCall) => boolean,
    atMost: number,
    signal: AbortSignal,
  ): Promise<readonly RecordedCall[]> {
    const kept = this.#calls[0]?.id ?? this.#nextId;
    const isOurs = ({ startedAt }: RecordedCall): boolean => startedAt >= this.#openedAt;
    const wanted = (call: RecordedCall): boolean => (!isOurs(call) || call.id < kept) && filter(call);
    const found = await readCalls(this.#options.dir, wanted, atMost, signal);
    return found.map((call) => (isOurs(call) ? call : { ...call, earlier: true }));
  }

  /** Calls back, masked, when a call begins and when it ends. */
  onCall(listener: (call: RecordedCall) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#flush();
    await this.#writing;
  }

  #tell(entry: Entry): void {
    if (this.#listeners.size === 0) return;
    const call = this.#masked(entry);
    for (const listener of this.#listeners) listener(call);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#unwritten;
    this.#unwritten = [];
    if (batch.length === 0) return;
    const lines = batch.map((entry) => `${JSON.stringify(this.#masked(entry))}\n`).join('');
    this.#writing = this.#writing.then(() => this.#append(lines));
  }

  async #append(lines: string): Promise<void> {
    const path = join(this.#options.dir, 'calls.jsonl');
    try {
      await mkdir(this.#options.dir, { recursive: true, mode: 0o700 });
      const { size } = await stat(path).catch(() => ({ size: 0 }));
      if (size > this.#options.maxFileBytes) await rename(path, `${path}.1`);
      await appendFile(path, lines, { mode: 0o600 });
    } catch (err) {
      this.#deps.log.warn({ path, err: errorText(err) }, 'plugin calls could not be written down');
    }
  }

  #masked({ id, call, startedAt, durationMs, outcome }: Entry): RecordedCall {
    return {
      id,
      call: { ...call, request: this.#mask.copy(call.request) },
      startedAt,
      durationMs,
      outcome: outcome && { ...outcome, response: this.#mask.copy(outcome.response) },
    };
  }
}
