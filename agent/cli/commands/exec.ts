import type { PodView } from '../../serving/node-api/index.js';
import { chooseContainer } from '../choose-container.js';
import { apiPath, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { podName } from '../resource.js';
import { runSession } from '../terminal-session.js';

export interface ExecFlags extends ClientFlags {
  readonly namespace?: string | undefined;
  readonly container?: string | undefined;
  readonly stdin?: boolean | undefined;
  readonly tty?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

export async function exec(
  pod: string,
  command: readonly string[],
  flags: ExecFlags,
  context: CommandContext,
): Promise<number> {
  if (command.length === 0) throw usage('exec: expected a command, as in: berth exec POD -- ls /');
  return await open('exec', pod, { command }, flags, context);
}

export async function attach(pod: string, flags: ExecFlags, context: CommandContext): Promise<number> {
  return await open('attach', pod, {}, flags, context);
}

async function open(
  what: 'exec' | 'attach',
  pod: string,
  query: { readonly command?: readonly string[] },
  flags: ExecFlags,
  context: CommandContext,
): Promise<number> {
  const { client, out, err } = context;
  const input = process.stdin;
  const namespace = flags.namespace ?? 'default';
  const name = podName(pod);
  const container = flags.container ?? (await defaultOf(namespace, name, flags, context));
  const stdin = flags.stdin === true;
  // As kubectl: a terminal on the far side makes no sense without one here.
  const tty = flags.tty === true && (!stdin || input.isTTY);
  if (flags.tty && !tty) err.write('Unable to use a TTY - input is not a terminal or the right kind of file\n');
  // A terminal that was never told its size has none.
  const size = tty && out.columns > 0 && out.rows > 0 ? { columns: out.columns, rows: out.rows } : {};
  const path = apiPath(`/v1/pods/{}/{}/${what}`, namespace, name);
  // Not tied to Ctrl-C: with a terminal that is a key for the container, without one it ends us and with us the command.
  const never = new AbortController().signal;
  const { socket, head } = await client.upgrade(path, { ...query, container, stdin, tty, ...size }, never);
  return await runSession(socket, head, { stdin, tty, input, out, err });
}

async function defaultOf(
  namespace: string,
  name: string,
  flags: ExecFlags,
  { client, err }: CommandContext,
): Promise<string> {
  const { pod } = await client.get<PodView>(apiPath('/v1/pods/{}/{}', namespace, name));
  return chooseContainer(pod, flags.quiet ? { write: () => true } : err);
}
