import type { Command } from 'commander';
import {
  allNamespacesOption,
  duration,
  fieldOption,
  fileOption,
  isTrue,
  namespaceOption,
  selectorOption,
  wholeNumber,
} from '../common-options.js';
import type { Parts } from './program-parts.js';

/** Commands that change what a running agent is to do. */
export function addChangingCommands({ client, deps }: Parts): void {
  client('apply', 'create or change the objects of a manifest', 'file')
    .addOption(fileOption())
    .addOption(namespaceOption())
    .option('-R, --recursive', 'folders with those below them')
    .option('-o, --output <format>', 'name, json or yaml')
    .allowExcessArguments()
    .action(async (flags: object, command: Command) => {
      await deps.client(flags, async (f, c) => (await import('../commands/apply.js')).apply(command.args, f, c));
    });
  client('delete', 'delete objects that were applied', 'resource')
    .argument('[type]', 'type, or TYPE/NAME')
    .argument('[name...]')
    .addOption(fileOption())
    .addOption(namespaceOption())
    .option('--grace-period <seconds>', 'time the containers get to end', wholeNumber)
    .option('--now', 'one second of grace')
    .option('--force', 'no grace at all')
    .option('-R, --recursive', 'folders with those below them')
    .addOption(selectorOption())
    .addOption(fieldOption())
    .option('--all', 'all of the type in the namespace')
    .addOption(allNamespacesOption())
    .option('--wait [bool]', 'wait until nothing of the pods is left (default: true)', isTrue)
    .option('--no-wait', 'do not wait for it')
    .option('--timeout <duration>', 'wait at most this long', duration)
    .option('--ignore-not-found', 'what is not there is no error')
    .option('-o, --output <format>', 'name')
    .action(async (type: string | undefined, names: string[], flags: object) => {
      const args = type === undefined ? [] : [type, ...names];
      await deps.client(flags, async (f, c) => (await import('../commands/apply.js')).remove(args, f, c));
    });
  client('pressure', 'show how near the node is to evicting pods')
    .option('--what-if', 'who would go, in what order, with the arithmetic; nothing is touched')
    .action(async (flags: { socket?: string }) => {
      await deps.client(flags, async (f, c) => (await import('../commands/pressure.js')).pressure(f, c));
    });
  client('retry', 'try now what pods wait for, whatever their back-off says', 'pod')
    .argument('<pod...>')
    .addOption(namespaceOption())
    .action(async (pods: string[], flags: object) => {
      await deps.client(flags, async (f, c) => (await import('../commands/retry.js')).retry(pods, f, c));
    });
}
