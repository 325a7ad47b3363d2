import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';

/** A program under way, with everything it printed so far. */
export class RunningProgram implements AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  text = '';
  readonly #closed: Promise<unknown>;

  private constructor(program: string, args: readonly string[], env: Record<string, string>) {
    this.child = spawn(program, args, { env, stdio: 'pipe' });
    this.#closed = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
    this.child.stdin.on('error', () => {});
  }

  /** With a terminal of 33 lines of 91 characters it runs under `script`. */
  static start(argv: readonly string[], env: Record<string, string>, terminal: boolean): RunningProgram {
    const line = `stty rows 33 cols 91; ${argv.map((each) => `'${each}'`).join(' ')}`;
    return terminal
      ? new RunningProgram('script', ['-qefc', line, '/dev/null'], env)
      : new RunningProgram(argv[0] ?? '', argv.slice(1), env);
  }

  async until(text: string, withinMs = 60_000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!this.text.includes(text)) {
      if (Date.now() > deadline) throw new Error(`${JSON.stringify(text)} did not come: ${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Resolves with the exit code. */
  async ended(): Promise<number | null> {
    await this.#closed;
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#closed;
  }
}
