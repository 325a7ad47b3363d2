import type { Event } from '../../api/index.js';
import type { List, WatchLine } from '../../serving/node-api/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { eventCells, eventHeader, eventTable } from '../output/event-table.js';
import { checkOutput, printObjects, renderValue, wantsObjects, type OutputFlags } from '../output/print-objects.js';
import { columnWidths, renderRow } from '../output/table.js';
import { podName } from '../resource.js';

export interface EventFlags extends ClientFlags, OutputFlags {
  readonly namespace?: string | undefined;
  readonly allNamespaces?: boolean | undefined;
  readonly for?: string | undefined;
  readonly types?: string | undefined;
  readonly watch?: boolean | undefined;
}

export async function events(flags: EventFlags, context: CommandContext): Promise<number> {
  checkOutput(flags.output);
  const namespace = flags.allNamespaces ? undefined : (flags.namespace ?? 'default');
  const query = {
    namespace,
    name: flags.for === undefined ? undefined : podName(flags.for),
    type: flags.types,
  };
  if (flags.watch) return await follow(query, flags, context);
  const { items } = await context.client.get<List<Event>>('/v1/events', query);
  const table = eventTable(items, flags.allNamespaces === true, Date.now());
  const nothing = namespace === undefined ? 'No events found.' : `No events found in ${namespace} namespace.`;
  await printObjects(
    context,
    {
      kind: 'Event',
      single: false,
      objects: items,
      names: table.names,
      header: table.header,
      rows: table.rows,
      nothing,
    },
    flags,
  );
  return 0;
}

/** Each event in a line of its own as it happens. */
async function follow(
  query: Readonly<Record<string, string | undefined>>,
  flags: EventFlags,
  { client, out, signal }: CommandContext,
): Promise<number> {
  const widths = columnWidths([[...eventHeader], ['', 'Warning', 'FailedCreatePodSandBox', 'pod/some-name-here', '']]);
  if (!wantsObjects(flags.output) && flags.headers !== false) out.write(renderRow(eventHeader, widths));
  const call = { method: 'GET', path: '/v1/events', query: { ...query, watch: true } } as const;
  for await (const line of client.lines<WatchLine<Event>>(call, signal)) {
    if (line.type === 'SYNCED') continue;
    if (wantsObjects(flags.output)) out.write(await renderValue(line.object, flags.output));
    else out.write(renderRow(eventCells(line.object, Date.now()), widths));
  }
  return 0;
}
