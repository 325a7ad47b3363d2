import type { Command } from 'commander';
import { namespaceOption } from '../common-options.js';
import type { Parts } from './program-parts.js';

/** Sessions in a container. */
export function addStreamCommands({ client, deps }: Parts): void {
  const session = (name: string, description: string): Command =>
    client(name, description, 'pod')
      .argument('<pod>')
      .addOption(namespaceOption())
      .option('-c, --container <name>', 'container (default: the first)')
      .option('-i, --stdin', 'pass standard input on')
      .option(
        '-t, --tty',
        'with a terminal of the size of this one; with crun the size may come a moment after the start',
      )
      .option('-q, --quiet', 'do not say which container was chosen');
  session('exec', 'run a command in a container')
    .argument('[command...]', 'after --')
    .action(async (pod: string, command: string[], flags: object) => {
      await deps.client(flags, async (f, c) => (await import('../commands/exec.js')).exec(pod, command, f, c), false);
    });
  session('attach', "join the input and output of a container's main process").action(
    async (pod: string, flags: object) => {
      await deps.client(flags, async (f, c) => (await import('../commands/exec.js')).attach(pod, f, c), false);
    },
  );
  client('port-forward', 'pass ports of this machine on to a pod', 'pod')
    .argument('<pod>')
    .argument('<port...>', 'PORT, LOCAL:PORT or :PORT; a port of the pod may be given by its name')
    .addOption(namespaceOption())
    .option('--address <addresses>', 'addresses to listen on (default: localhost)')
    .action(async (pod: string, ports: string[], flags: object) => {
      await deps.client(flags, async (f, c) =>
        (await import('../commands/port-forward.js')).portForward(pod, ports, f, c),
      );
    });
}
