import type { RuntimesOptions } from './runtimes-bursts.js';

/** `--only=containerd` for some of the runtimes, `--pods=N` for another burst. */
export function runtimesOptions(argv: readonly string[], quick: boolean, idleMs: number): RuntimesOptions {
  const word = (flag: string): string | undefined =>
    argv.find((given) => given.startsWith(`${flag}=`))?.slice(flag.length + 1);
  return {
    count: Number(word('--pods') ?? (quick ? 10 : 100)),
    rounds: quick ? 1 : 3,
    idleMs: quick ? 0 : idleMs,
    only: word('--only'),
  };
}
