import type { Command, Option } from 'commander';
import { namespaceOption, socketOption } from '../common-options.js';
import { commandFirst } from '../normal-arguments.js';
import type { Completes } from '../command-groups/program-parts.js';
import { resourceWords } from '../resource.js';

/** Names that only the agent knows. */
export interface Names {
  pods(namespace: string): Promise<readonly string[]>;
  containers(namespace: string, pod: string): Promise<readonly string[]>;
  namespaces(): Promise<readonly string[]>;
  images(): Promise<readonly string[]>;
}

/** Tells the script of the shell to complete file names. */
export const files = ':files';

interface Line {
  readonly command: Command;
  /** Words that are neither options nor their values. */
  readonly operands: readonly string[];
  /** The option whose value the last word is. */
  readonly pending: Option | undefined;
  readonly namespace: string;
  /** After `--` everything is the command of an exec. */
  readonly passedOn: boolean;
}

/** What may stand in the place of the last of the words, which may be empty. */
export async function candidates(
  program: Command,
  completes: ReadonlyMap<Command, Completes>,
  words: readonly string[],
  names: Names,
): Promise<string[]> {
  const last = words.at(-1) ?? '';
  const line = read(program, commandFirst(words.slice(0, -1)));
  if (line.passedOn) return [files];
  const [, name, part = ''] = /^(--[\w-]+=)(.*)$/s.exec(last) ?? [];
  const option = name === undefined ? undefined : optionOf(line.command, name.slice(0, -1));
  if (name !== undefined && option) {
    const values = await valuesOf(option, line, names);
    return matching(values, part).map((value) => (value === files ? value : `${name}${value}`));
  }
  return matching(await possible(line, completes.get(line.command), last, names), last);
}

const matching = (found: readonly string[], start: string): string[] =>
  found.filter((candidate) => candidate === files || candidate.startsWith(start)).toSorted();

/** Of a command, also while nothing but what goes before all commands is written: `berth -n TAB`. */
const optionOf = (command: Command, name: string): Option | undefined =>
  command.options.find(({ long, short }) => long === name || short === name) ??
  [namespaceOption(), socketOption()].find(({ long, short }) => long === name || short === name);

function read(program: Command, words: readonly string[]): Line {
  let command = program;
  let pending: Option | undefined;
  let namespace = 'default';
  const operands: string[] = [];
  for (const word of words) {
    if (pending) {
      if (pending.long === '--namespace') namespace = word;
      pending = undefined;
    } else if (word === '--') return { command, operands, pending, namespace, passedOn: true };
    else if (word.startsWith('-')) {
      namespace = /^(?:--namespace=|-n=?)(.+)$/.exec(word)?.[1] ?? namespace;
      const option = word.includes('=') ? undefined : optionOf(command, word);
      if (option?.required) pending = option;
    } else {
      const sub = operands.length === 0 ? command.commands.find((each) => each.name() === word) : undefined;
      if (sub) command = sub;
      else operands.push(word);
    }
  }
  return { command, operands, pending, namespace, passedOn: false };
}

async function possible(line: Line, completes: Completes, last: string, names: Names): Promise<readonly string[]> {
  const { command, operands, pending, namespace } = line;
  if (pending) return await valuesOf(pending, line, names);
  if (last.startsWith('-')) return command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : []));
  if (command.commands.length > 0 && operands.length === 0) {
    const subcommands = command.commands.map((each) => each.name()).filter((name) => !name.startsWith('_'));
    if (completes === undefined) return subcommands;
  }
  switch (completes) {
    case 'pod':
      if (operands.length === 0 || command.registeredArguments[0]?.variadic)
        return await podsLike(last, namespace, names);
      return command.name() === 'logs' && operands.length === 1
        ? await names.containers(namespace, bareName(operands[0]))
        : [];
    case 'resource':
      if (operands.length === 0)
        return last.startsWith('pod/') ? await podsLike(last, namespace, names) : resourceWords();
      return /^po(ds?)?$/.test(operands[0] ?? '') ? await names.pods(namespace) : [];
    case 'image':
      return await names.images();
    case 'file':
      return [files];
    case undefined:
      return command.name() === 'completion' ? ['bash', 'zsh', 'fish'] : [];
  }
}

async function podsLike(last: string, namespace: string, names: Names): Promise<string[]> {
  const prefix = last.startsWith('pod/') ? 'pod/' : '';
  return (await names.pods(namespace)).map((name) => `${prefix}${name}`);
}

const bareName = (word: string | undefined): string => word?.replace(/^pods?\//, '') ?? '';

async function valuesOf({ long }: Option, { operands, namespace }: Line, names: Names): Promise<readonly string[]> {
  switch (long) {
    case '--namespace':
      return await names.namespaces();
    case '--container':
      return operands[0] === undefined ? [] : await names.containers(namespace, bareName(operands[0]));
    case '--output':
      return ['json', 'yaml', 'name', 'wide', 'jsonpath=', 'custom-columns='];
    case '--for':
      return await names.pods(namespace);
    case '--types':
      return ['Normal', 'Warning'];
    case '--interface':
      return ['cni', 'credential-provider', 'cri', 'csi', 'device-plugin', 'dra', 'flexvolume', 'image', 'oci'];
    case '--log-level':
      return ['debug', 'info', 'warn', 'error'];
    case '--format':
      return ['oci-archive', 'docker-archive'];
    case undefined:
    default:
      return [files];
  }
}
