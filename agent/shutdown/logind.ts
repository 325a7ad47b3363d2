/** True when a shutdown begins, false when it was called off. */
export interface ShutdownWatch extends AsyncIterable<boolean>, Disposable {}

/** What the agent needs of the machine's login manager. */
export interface Logind {
  /** How long a delay inhibitor can hold a shutdown up at most; undefined when there is no login manager. */
  maxDelayMs(signal: AbortSignal): Promise<number | undefined>;
  /** Asks for a longer delay: written to logind's configuration, which is read again. */
  raiseMaxDelay(ms: number, signal: AbortSignal): Promise<void>;
  /** Holds shutdowns up until disposed. Resolves when they are. */
  inhibit(signal: AbortSignal): Promise<AsyncDisposable>;
  /** Resolves when nothing that begins from now on is missed. Told until disposed or the signal aborts. */
  watch(signal: AbortSignal): Promise<ShutdownWatch>;
}

/** `PrepareForShutdown` in a line of `busctl monitor --json=short`; undefined for any other message. */
export function parsePrepareForShutdown(line: string): boolean | undefined {
  try {
    const message = JSON.parse(line) as { member?: unknown; payload?: { data?: unknown[] } };
    if (message.member !== 'PrepareForShutdown') return undefined;
    const [begins] = message.payload?.data ?? [];
    return typeof begins === 'boolean' ? begins : undefined;
  } catch {
    return undefined;
  }
}

/** `t 5000000`, as `busctl get-property` prints it. */
export function parseMicroseconds(text: string): number | undefined {
  const value = /^t (\d+)\s*$/.exec(text)?.[1];
  return value === undefined ? undefined : Number(value) / 1000;
}
