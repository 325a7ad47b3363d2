import { spawnSync } from 'node:child_process';

/** What a program prints; throws when it fails. */
export function run(program, args, options = {}) {
  const { status, stdout, error } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (error ?? status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? `exited with ${status}`}`);
  return stdout ?? '';
}
