import { isAbortOf, linkSignal, orAbort } from '../../base/signals.js';

export interface ListingDevices {
  status(): readonly { readonly state: string }[];
  subscribe(listener: () => void): Disposable;
}

/** Resolves when plugins are dialled and each that was taken has listed its devices or went; when it took too long, as well. */
export async function untilListed(
  dialled: Promise<void>,
  devices: ListingDevices,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  using limited = linkSignal(signal, { timeoutMs, what: 'wait for device plugins that live on' });
  let changed = (): void => {};
  using _told = devices.subscribe(() => changed());
  try {
    await orAbort(dialled, limited.signal);
    while (devices.status().some(({ state }) => state === 'listing'))
      await orAbort(new Promise<void>((resolve) => (changed = resolve)), limited.signal);
  } catch (err) {
    signal.throwIfAborted();
    if (!isAbortOf(err, limited.signal)) throw err;
  }
}
