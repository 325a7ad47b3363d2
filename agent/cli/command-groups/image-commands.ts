import type { Command } from 'commander';
import type { ClientFlags } from '../command-context.js';
import { outputOption, socketOption } from '../common-options.js';
import type { Completes, Parts } from './program-parts.js';

/** `berth images` and what it can do with them. */
export function addImageCommands({ client, deps, completes }: Parts): void {
  const list = (command: Command): Command =>
    command
      .addOption(outputOption())
      .option('-q, --quiet', 'only their IDs')
      .option('--no-headers', 'leave the headings out')
      .action(async (flags: object) => {
        await deps.client(own(flags), async (f, c) => (await import('../commands/images.js')).listImages(f, c));
      });
  const images = list(client('images', 'show the images, why each stays, and manage them'));
  images.allowExcessArguments().hook('preAction', (_images, asked) => {
    const stray = asked === images ? asked.args[0] : undefined;
    const known = images.commands.map((command) => command.name()).join(', ');
    if (stray !== undefined) images.error(`error: unknown command 'images ${stray}'; there are ${known}`);
  });
  /** `berth images --socket PATH pull NAME` means the same as with the option at the end. */
  const own = <F extends object>(flags: F): F & ClientFlags => ({ ...images.opts<ClientFlags>(), ...flags });
  const sub = (name: string, description: string, completion: Completes): Command => {
    // What its list lets pass for a better word is not for them: a file in the place of `-o FILE` must not be passed over.
    const command = images.command(name).description(description).addOption(socketOption()).allowExcessArguments(false);
    completes.set(command, completion);
    return command;
  };
  list(sub('ls', 'show the images', undefined));
  sub('pull', 'fetch an image from its registry', undefined)
    .argument('<reference>')
    .option('-u, --username <name>', 'user of the registry')
    .option('--password-stdin', 'read the password from standard input')
    .action(async (reference: string, flags: object) => {
      await deps.client(own(flags), async (f, c) => (await import('../commands/images.js')).pullImage(reference, f, c));
    });
  sub('import', 'take the images of a docker or OCI archive', 'file')
    .argument('<file>', 'archive, or - for standard input')
    .option('-t, --tag <reference>', 'name the image gets instead of those in the archive')
    .option('--pin', 'never collect it')
    .action(async (file: string, flags: object) => {
      await deps.client(own(flags), async (f, c) => (await import('../commands/images.js')).importImage(file, f, c));
    });
  sub('export', 'write an image to an archive', 'image')
    .argument('<reference>')
    .option('-o, --output <file>', 'file that is not there yet (default: standard output)')
    .option('--format <format>', 'oci-archive or docker-archive', 'oci-archive')
    .action(async (reference: string, flags: object) => {
      await deps.client(own(flags), async (f, c) =>
        (await import('../commands/images.js')).exportImage(reference, f, c),
      );
    });
  sub('rm', 'remove images', 'image')
    .argument('<reference...>')
    .option('--force', 'also one that pods use')
    .action(async (references: string[], flags: object) => {
      await deps.client(own(flags), async (f, c) =>
        (await import('../commands/images.js')).removeImages(references, f, c),
      );
    });
  sub('tag', 'give an image one more name', 'image')
    .argument('<reference>')
    .argument('<name>')
    .action(async (reference: string, name: string, flags: object) => {
      await deps.client(own(flags), async (f, c) =>
        (await import('../commands/images.js')).tagImage(reference, name, f, c),
      );
    });
  for (const pinned of [true, false]) {
    sub(
      pinned ? 'pin' : 'unpin',
      pinned ? 'keep an image from being collected' : 'let an image be collected again',
      'image',
    )
      .argument('<reference>')
      .action(async (reference: string, flags: object) => {
        await deps.client(own(flags), async (f, c) =>
          (await import('../commands/images.js')).pinImage(reference, pinned, f, c),
        );
      });
  }
}
