import { programSucceeded, runProgram } from '../../../base/run-program.js';

const timeoutMs = 30_000;

/**
 * The UUIDs of GPUs whose MIG mode is on, as nvidia-smi tells them: the files of the driver show instances, and not the mode. Empty where there
 * is no such program on `path` or where it does not answer.
 */
export async function gpusInMigMode(path: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const argv: [string, ...string[]] = ['nvidia-smi', '--query-gpu=uuid,mig.mode.current', '--format=csv,noheader'];
  const result = await runProgram({ argv, env: { PATH: path }, timeoutMs }, signal);
  const lines = programSucceeded(result) ? result.stdout.toString('utf8').split('\n') : [];
  return new Set(
    lines.flatMap((line) => {
      const [uuid = '', mode] = line.split(',').map((word) => word.trim());
      return mode === 'Enabled' ? [uuid] : [];
    }),
  );
}
