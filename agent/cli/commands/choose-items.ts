import { parseSelector } from '../output/selector.js';
import type { Found, Item } from './found-resources.js';

export interface ChoiceFlags {
  readonly selector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly sortBy?: string | undefined;
  readonly showLabels?: boolean | undefined;
  /** Labels with a column of their own. */
  readonly labelColumns?: readonly string[] | undefined;
}

export type Choice = (item: Item) => boolean;

/** What the names and selectors let through. */
export async function chooser(names: readonly string[], flags: ChoiceFlags): Promise<Choice> {
  const selected = parseSelector(flags.selector ?? '');
  const hasFields = flags.fieldSelector === undefined ? () => true : await fieldsOf(flags.fieldSelector);
  return ({ object, name }) =>
    (names.length === 0 || names.includes(name)) && selected(labelsOf(object)) && hasFields(object);
}

async function fieldsOf(text: string): Promise<(object: unknown) => boolean> {
  return (await import('../output/field-selector.js')).parseFieldSelector(text);
}

/** The chosen ones in the order that is asked for, with columns of labels. */
export async function chosen(all: Found, choice: Choice, flags: ChoiceFlags): Promise<Found> {
  const items = all.items.filter(choice);
  const sorted = flags.sortBy === undefined ? items : await sortedBy(flags.sortBy, items);
  return {
    ...all,
    header: [...all.header, ...labelHeader(flags)],
    items: sorted.map((item) => ({ ...item, row: [...item.row, ...labelCells(item.object, flags)] })),
  };
}

export const labelHeader = ({ labelColumns = [], showLabels }: ChoiceFlags): string[] => [
  ...labelColumns.flatMap((list) => list.split(',')).map((label) => (label.split('/').at(-1) ?? '').toUpperCase()),
  ...(showLabels ? ['LABELS'] : []),
];

export function labelCells(object: object, { labelColumns = [], showLabels }: ChoiceFlags): string[] {
  const labels = labelsOf(object);
  const all = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return [
    ...labelColumns.flatMap((list) => list.split(',')).map((label) => labels[label] ?? ''),
    ...(showLabels ? [all.join(',') || '<none>'] : []),
  ];
}

async function sortedBy(path: string, items: readonly Item[]): Promise<Item[]> {
  const { valuesAt, showValue } = await import('../output/json-path.js');
  const keyed = items.map((item) => ({ item, key: valuesAt(path, item.object)[0] }));
  return keyed
    .toSorted(({ key: a }, { key: b }) => {
      if (typeof a === 'number' && typeof b === 'number') return a - b;
      return (a === undefined ? '' : showValue(a)).localeCompare(b === undefined ? '' : showValue(b));
    })
    .map(({ item }) => item);
}

function labelsOf(object: object): Readonly<Record<string, string>> {
  const { metadata } = object as { metadata?: { labels?: Record<string, string> } };
  return metadata?.labels ?? {};
}
