import { Command } from 'commander';
import { berthVersion } from '../serving/version.js';
import { addChangingCommands } from './command-groups/changing-commands.js';
import { addCompletionCommands } from './command-groups/completion-commands.js';
import { addHostCommands } from './command-groups/host-commands.js';
import { addImageCommands } from './command-groups/image-commands.js';
import type { Completes, MakeClient, Parts, ProgramDeps } from './command-groups/program-parts.js';
import { addReadingCommands } from './command-groups/reading-commands.js';
import { addStreamCommands } from './command-groups/stream-commands.js';
import { socketOption } from './common-options.js';
import { examplesOf } from './help-examples.js';

/** The commands in the order of the help, with the names by which each part is asked for. */
const groups: ReadonlyArray<{ readonly names: readonly string[]; readonly add: (parts: Parts) => void }> = [
  { names: ['agent', 'demo', 'cri', 'check'], add: addHostCommands },
  {
    names: ['get', 'describe', 'why', 'logs', 'events', 'top', 'version', 'plugins', 'trace'],
    add: addReadingCommands,
  },
  { names: ['apply', 'delete', 'pressure', 'retry'], add: addChangingCommands },
  { names: ['exec', 'attach', 'port-forward'], add: addStreamCommands },
  { names: ['images'], add: addImageCommands },
  { names: [], add: addCompletionCommands },
];

/**
 * The command tree. Each command loads what it needs when it is called: `berth get pods` must not wait for the agent's parts. Given the
 * first word of a command line, only the part of the tree is built that it can mean.
 */
export function buildProgram(
  deps: ProgramDeps,
  word?: string,
): { program: Command; completes: ReadonlyMap<Command, Completes> } {
  const completes = new Map<Command, Completes>();
  const program = new Command('berth')
    .description('Runs pods on this machine: a Kubernetes node agent.')
    .version(berthVersion)
    .showHelpAfterError('(try --help)')
    // What the command line gets wrong ends with 2, whoever finds it.
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .enablePositionalOptions()
    .configureHelp({ sortSubcommands: false });
  const client: MakeClient = (name, description, completion) => {
    const command = program.command(name).description(description).addOption(socketOption());
    completes.set(command, completion);
    return command;
  };
  const meant = groups.filter(({ names }) => names.includes(word ?? ''));
  for (const { add } of meant.length > 0 ? meant : groups) add({ program, deps, completes, client });
  for (const command of program.commands) command.addHelpText('after', () => examplesOf(command.name()));
  return { program, completes };
}
