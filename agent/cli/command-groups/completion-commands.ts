import { Command } from 'commander';
import type { Parts } from './program-parts.js';

/** Shell completion, and the command that the scripts of shells call. */
export function addCompletionCommands({ program, deps, completes }: Parts): void {
  program
    .command('completion')
    .description('print the completion script of a shell: source <(berth completion bash)')
    .argument('<shell>', 'bash, zsh or fish')
    .action(async (shell: string) => {
      await deps.alone(async () => (await import('../completion/scripts.js')).printScript(shell));
    });
  program.addCommand(
    new Command('__complete')
      .argument('[words...]')
      .allowUnknownOption()
      .helpOption(false)
      .action(async (words: string[]) => {
        await deps.alone(async () => (await import('../completion/complete.js')).complete(program, completes, words));
      }),
    { hidden: true },
  );
}
