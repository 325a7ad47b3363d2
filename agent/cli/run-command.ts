import { BerthError, errorText } from '../../base/errors.js';
import { ClientError } from './client/index.js';
import { openContext, type ClientFlags, type CommandContext } from './command-context.js';

/** What a shell calls a command that Ctrl-C ended. */
const interrupted = 130;

/** Runs a command of a running agent: its failures are one line, its exit code the command's. */
export async function runClient<F extends ClientFlags>(
  flags: F,
  run: (flags: F, context: CommandContext) => Promise<number>,
  interruptible = true,
): Promise<void> {
  const context = openContext(flags, interruptible);
  try {
    process.exitCode = await run(flags, context);
  } catch (err) {
    process.exitCode = context.signal.aborted ? interrupted : told(err);
  }
  // A terminal or pipe on standard input would keep us.
  process.stdin.destroy();
}

export async function runAlone(run: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await run();
  } catch (err) {
    process.exitCode = told(err);
  }
}

function told(err: unknown): number {
  if (err instanceof ClientError && err.failure.code === 'usage') {
    process.stderr.write(`berth: ${err.message}\n`);
    return 2;
  }
  // What is none of ours is a fault of berth: its trace is wanted.
  const text = err instanceof BerthError || !(err instanceof Error) ? errorText(err) : (err.stack ?? err.message);
  process.stderr.write(`berth: ${text}\n`);
  return 1;
}
