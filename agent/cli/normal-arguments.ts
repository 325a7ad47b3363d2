import type { Command, Option } from 'commander';

/** Options that may stand before the command, as people write them for kubectl: `berth -n shop get pods`. */
const global = /^(?:-n|--namespace|--socket)$/;
const globalWithValue = /^(?:-n=?.+|--(?:namespace|socket)=.*)$/s;

/** Moves what stands before the command behind it. A line without a command stays as it is. */
export function commandFirst(args: readonly string[]): string[] {
  let at = 0;
  while (at < args.length) {
    const arg = args[at] ?? '';
    if (global.test(arg)) at += 2;
    else if (globalWithValue.test(arg)) at++;
    else break;
  }
  const command = args[at];
  if (at === 0 || command === undefined || command.startsWith('-')) return [...args];
  return [command, ...args.slice(0, at), ...args.slice(at + 1)];
}

/**
 * Spellings of options that kubectl takes and the parser does not: `--follow=true`, `--watch=false`, `-o=json`. What follows `--` is
 * somebody else's command line.
 */
export function plainOptions(program: Command, args: readonly string[]): string[] {
  const words = args[0] === 'exec' ? withCommandApart(program, args) : args;
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  let command = program;
  const plain: string[] = [];
  for (const arg of words.slice(0, end)) {
    const sub = arg.startsWith('-') ? undefined : command.commands.find((each) => each.name() === arg);
    if (sub) command = sub;
    plain.push(...plainOption(command.options, arg));
  }
  return [...plain, ...words.slice(end)];
}

/** `exec web ls -la`, as for docker and podman: what follows the pod is the command, with its options. */
function withCommandApart(program: Command, args: readonly string[]): string[] {
  const options = program.commands.find((each) => each.name() === 'exec')?.options ?? [];
  let operands = 0;
  for (let at = 1; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '--') return [...args];
    if (arg.startsWith('-') && arg !== '-') {
      // The value of an option is the next word when the option, or the last of several letters, is all of this one.
      const last = /^-[a-z]+$/i.test(arg) ? `-${arg.at(-1) ?? ''}` : arg;
      if (options.some((option) => option.required && (option.long === arg || option.short === last))) at++;
    } else if (++operands === 2) return [...args.slice(0, at), '--', ...args.slice(at)];
  }
  return [...args];
}

function plainOption(options: readonly Option[], arg: string): string[] {
  const switched = /^(--?[a-z][\w-]*)=(true|false)$/i.exec(arg);
  if (switched) {
    const [, name = '', value = ''] = switched;
    const option = options.find(({ long, short }) => long === name || short === name);
    if (option && !option.required && !option.optional) return value.toLowerCase() === 'true' ? [name] : [];
  }
  const short = /^(-[A-Za-z])=(.*)$/s.exec(arg);
  if (short && options.some((option) => option.short === short[1] && option.required))
    return [short[1] ?? '', short[2] ?? ''];
  return [arg];
}
