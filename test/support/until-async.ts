import { setTimeout as delay } from 'node:timers/promises';

/** Waits for a condition that has to be asked for; fails with what it waited for and what `tell` says then. */
export async function untilAsync(
  what: string,
  holds: () => Promise<boolean>,
  { withinMs = 60_000, tell }: { readonly withinMs?: number; readonly tell?: () => Promise<unknown> } = {},
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > deadline)
      throw new Error(`${what}: not within ${withinMs} ms\n${JSON.stringify(await tell?.(), undefined, 1) ?? ''}`);
    await delay(25);
  }
}
