import { InvalidArgumentError, Option } from 'commander';
import { describeSockets } from './command-context.js';
import { secondsOf } from './duration-text.js';

export const socketOption = (): Option =>
  new Option('--socket <path>', `socket of the agent (default: $BERTH_SOCKET, ${describeSockets})`);
export const namespaceOption = (): Option =>
  new Option('-n, --namespace <name>', 'namespace (default: "default")').argParser(namespaceName);
export const allNamespacesOption = (): Option => new Option('-A, --all-namespaces', 'of all namespaces');
export const selectorOption = (): Option =>
  new Option('-l, --selector <selector>', 'only with these labels: a=b,c!=d,e in (f,g)');
export const fieldOption = (): Option =>
  new Option('--field-selector <selector>', 'only with these fields: status.phase=Running,metadata.name!=web');
export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'json, yaml, name, wide, jsonpath=TEMPLATE or custom-columns=NAME:PATH,...');
export const fileOption = (): Option => new Option('-f, --filename <path...>', 'file, folder, or - for standard input');

function namespaceName(text: string): string {
  // As a shell makes it of a variable that is not set.
  if (text === '')
    throw new InvalidArgumentError('expected the name of a namespace; without the option it is "default".');
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text))
    throw new InvalidArgumentError('a namespace is named in lower case letters, digits and "-", 63 at most.');
  return text;
}

export const isTrue = (text: string): boolean => !/^(false|0|f)$/i.test(text);

/** Strictly, as Go's flags read it. Alone the option says yes. */
export const truth = (text: string): boolean => {
  if (!/^(true|false|[tf01])$/i.test(text)) throw new InvalidArgumentError('expected true or false.');
  return isTrue(text);
};

/** For lists with commas that may be told piece by piece. */
export const pieces = (text: string, before: string | undefined): string =>
  before === undefined ? text : `${before},${text}`;

/** For options that may be given more than once. */
export const each = (text: string, before: readonly string[] | undefined): string[] => [...(before ?? []), text];

export const wholeNumber = (text: string): number => {
  const number = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(number)) throw new InvalidArgumentError('expected a whole number.');
  return number;
};

/** Seconds. */
export const duration = (text: string): number => {
  const seconds = secondsOf(text);
  if (seconds === undefined) throw new InvalidArgumentError('expected a duration such as 30s, 5m or 1h30m.');
  return seconds;
};
