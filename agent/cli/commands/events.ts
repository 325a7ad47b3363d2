import type { Event } from '../../api/index.js';
import type { List, WatchLine } from '../../serving/node-api/index.js';
import { usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { eventTable } from '../output/event-table.js';
import { checkOutput, printObjects, renderValue, tableOf, wantsObjects } from '../output/print-objects.js';
import type { OutputFlags, Printable } from '../output/print-objects.js';
import { columnWidths, renderRow, widened } from '../output/table.js';
import { podName } from '../resource.js';
import { chooser, labelCells, labelHeader, type Choice, type ChoiceFlags } from './choose-items.js';

export interface EventFlags extends ClientFlags, OutputFlags, ChoiceFlags {
  readonly namespace?: string | undefined;
  readonly allNamespaces?: boolean | undefined;
  readonly for?: string | undefined;
  readonly types?: string | undefined;
  readonly watch?: boolean | undefined;
  /** Only what happens from now on. */
  readonly watchOnly?: boolean | undefined;
}

type Chosen = (event: Event) => boolean;

/** Oldest first. `names` are those of events, as `get events NAME` gives them. */
export async function events(
  flags: EventFlags,
  context: CommandContext,
  names: readonly string[] = [],
): Promise<number> {
  checkOutput(flags.output);
  const namespace = flags.allNamespaces ? undefined : (flags.namespace ?? 'default');
  const query = { namespace, name: flags.for === undefined ? undefined : podName(flags.for) };
  const types = typesOf(flags.types);
  const choice: Choice = await chooser(names, flags);
  const isChosen = (event: Event): boolean =>
    (types === undefined || types.has(event.type ?? '')) &&
    choice({ object: event, name: event.metadata.name ?? '', row: [] });
  if (flags.watch || flags.watchOnly) return await follow(query, isChosen, flags, context);
  const { items } = await context.client.get<List<Event>>('/v1/events', query);
  const nothing = namespace === undefined ? 'No events found.' : `No events found in ${namespace} namespace.`;
  await printObjects(context, { ...printable(items.filter(isChosen), flags), nothing }, flags);
  return 0;
}

function typesOf(text: string | undefined): ReadonlySet<string> | undefined {
  if (text === undefined) return undefined;
  const types = text.split(',').map((part) => part.trim());
  const strange = types.find((type) => type !== 'Normal' && type !== 'Warning');
  if (strange !== undefined) throw usage(`events: ${JSON.stringify(strange)} is no type of events: Normal or Warning`);
  return new Set(types);
}

function printable(items: readonly Event[], flags: EventFlags): Printable {
  const { header, names, rows } = eventTable(items, flags.allNamespaces === true, Date.now());
  return {
    ...{ kind: 'Event', single: false, nothing: '', objects: items },
    names: names.map((name) => `event/${name}`),
    header: [...header, ...labelHeader(flags)],
    rows: rows.map((row, index) => [...row, ...labelCells(items[index] ?? {}, flags)]),
  };
}

/** Each event in a line of its own as it happens. */
async function follow(
  query: Readonly<Record<string, string | undefined>>,
  isChosen: Chosen,
  flags: EventFlags,
  { client, out, signal }: CommandContext,
): Promise<number> {
  const { output, headers, watchOnly } = flags;
  const isTable = !wantsObjects(output) && output !== 'name';
  // Later lines stand below their headings: room for what is usual.
  const usual = ['', 'Warning', 'FailedCreatePodSandBox', 'pod/some-name-here', ''];
  const { header } = await tableOf(printable([], flags), flags);
  const isOwn = output?.startsWith('custom-columns=') === true;
  let widths = columnWidths([header, ...(isOwn ? [] : [flags.allNamespaces ? ['default', ...usual] : usual])]);
  if (isTable && headers !== false) out.write(renderRow(header, widths));
  const call = { method: 'GET', path: '/v1/events', query: { ...query, watch: true, watchOnly } } as const;
  for await (const line of client.lines<WatchLine<Event>>(call, signal)) {
    if (line.type === 'SYNCED' || !isChosen(line.object)) continue;
    const shown = printable([line.object], flags);
    if (wantsObjects(output)) out.write(await renderValue(line.object, output));
    else if (output === 'name') out.write(`${shown.names[0] ?? ''}\n`);
    else
      for (const row of (await tableOf(shown, flags)).rows) {
        widths = widened(widths, row);
        out.write(renderRow(row, widths));
      }
  }
  return 0;
}
