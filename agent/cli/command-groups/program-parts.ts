import type { Command } from 'commander';
import type { ClientFlags, CommandContext } from '../command-context.js';

type Run<F> = (flags: F, context: CommandContext) => Promise<number>;

/** What the words of an argument are, for shell completion. */
export type Completes = 'pod' | 'resource' | 'image' | 'file' | undefined;

export interface ProgramDeps {
  /** Runs a command of a running agent; sets the exit code. */
  client<F extends ClientFlags>(flags: F, run: Run<F>, interruptible?: boolean): Promise<void>;
  /** Runs a command that needs no agent. */
  alone(run: () => Promise<number>): Promise<void>;
}

/** Adds a command that asks a running agent, with its `--socket`. */
export type MakeClient = (name: string, description: string, completion?: Completes) => Command;

/** What a group of commands is added with. */
export interface Parts {
  readonly program: Command;
  readonly deps: ProgramDeps;
  readonly completes: Map<Command, Completes>;
  readonly client: MakeClient;
}
