import { setTimeout as delay } from 'node:timers/promises';
import type { PodView, WatchLine } from '../../serving/node-api/index.js';
import type { CommandContext } from '../command-context.js';
import { renderValue, tableOf, wantsObjects } from '../output/print-objects.js';
import { columnWidths, renderRow, renderRows, renderTable, widened } from '../output/table.js';
import type { Asked } from '../resource.js';
import { chooser, chosen, labelCells, labelHeader, type Choice } from './choose-items.js';
import { findResources, podItem, podTableHeader, type Item } from './found-resources.js';
import { findFlags, type GetFlags } from './get-flags.js';

/** Shows what is there, then each change in a line of its own, until Ctrl-C. */
export async function watchResources(asked: Asked, flags: GetFlags, context: CommandContext): Promise<number> {
  const { resource, names } = asked;
  const choice = await chooser(names, flags);
  if (resource.type === 'pods') return await watchPods(choice, flags, context);
  if (resource.type === 'events') {
    const { events } = await import('./events.js');
    return await events({ ...flags, watch: true }, context, names);
  }
  return await watchByLooking(asked, choice, flags, context);
}

/** Prints rows as they change; the widths are those of the first table. */
class ChangingTable {
  readonly #kind: string;
  readonly #header: readonly string[];
  readonly #flags: GetFlags;
  readonly #out: NodeJS.WriteStream;
  readonly #shown = new Map<string, string>();
  #first: Item[] | undefined = [];
  #widths: number[] = [];

  constructor(kind: string, header: readonly string[], flags: GetFlags, out: NodeJS.WriteStream) {
    this.#kind = kind.toLowerCase();
    this.#header = header;
    this.#flags = flags;
    this.#out = out;
  }

  async give(key: string, item: Item, isGone: boolean): Promise<void> {
    const news = wantsObjects(this.#flags.output) ? JSON.stringify(item.object) : await this.#newsOf(item);
    if (this.#shown.get(key) === news && !isGone) return;
    if (isGone) this.#shown.delete(key);
    else this.#shown.set(key, news);
    if (this.#first) this.#first.push(item);
    else await this.#print(item);
  }

  /** What its line tells; the age alone is no news. */
  async #newsOf(item: Item): Promise<string> {
    const { header, rows } = await this.#table([item]);
    return (rows[0] ?? []).filter((_cell, index) => header[index] !== 'AGE').join('\0');
  }

  /** What was there at the beginning is complete. */
  async synced(): Promise<void> {
    const first = this.#first ?? [];
    this.#first = undefined;
    const { output, headers, watchOnly } = this.#flags;
    if (wantsObjects(output) || output === 'name') {
      if (!watchOnly) for (const item of first) await this.#print(item);
      return;
    }
    const { header, rows } = await this.#table(first);
    this.#widths = columnWidths([header, ...rows]);
    if (watchOnly) return;
    if (headers === false) this.#out.write(renderRows(rows));
    else this.#out.write(renderTable(header, rows));
  }

  async #print(item: Item): Promise<void> {
    const { output } = this.#flags;
    if (wantsObjects(output)) this.#out.write(await renderValue(item.object, output));
    else if (output === 'name') this.#out.write(`${this.#kind}/${item.name}\n`);
    else
      for (const row of (await this.#table([item])).rows) {
        this.#widths = widened(this.#widths, row);
        this.#out.write(renderRow(row, this.#widths));
      }
  }

  async #table(items: readonly Item[]): ReturnType<typeof tableOf> {
    const objects = items.map(({ object }) => object);
    const rows = items.map(({ row }) => row);
    const found = { kind: '', single: false, names: [], nothing: '', objects, header: this.#header, rows };
    return await tableOf(found, this.#flags);
  }
}

async function watchPods(choice: Choice, flags: GetFlags, { client, out, signal }: CommandContext): Promise<number> {
  const find = findFlags(flags);
  const table = new ChangingTable('pod', [...podTableHeader(find), ...labelHeader(flags)], flags, out);
  const call = { method: 'GET', path: '/v1/pods', query: { namespace: find.namespace, watch: true } } as const;
  for await (const line of client.lines<WatchLine<PodView>>(call, signal)) {
    if (line.type === 'SYNCED') {
      await table.synced();
      continue;
    }
    const item = podItem(line.object, find);
    if (!choice(item)) continue;
    const row = [...item.row, ...labelCells(item.object, flags)];
    await table.give(line.object.pod.metadata?.uid ?? '', { ...item, row }, line.type === 'DELETED');
  }
  return 0;
}

const lookEveryMs = 1000;

/** Kinds that change rarely: the command looks again each second, the agent keeps nothing for it. */
async function watchByLooking(
  { resource }: Asked,
  choice: Choice,
  flags: GetFlags,
  { client, out, signal }: CommandContext,
): Promise<number> {
  let table: ChangingTable | undefined;
  let last = new Map<string, Item>();
  while (!signal.aborted) {
    const found = await chosen(await findResources(resource, findFlags(flags), client), choice, flags);
    const now = new Map(found.items.map((item) => [keyOf(item), item]));
    const isFirst = table === undefined;
    table ??= new ChangingTable(found.kind, found.header, flags, out);
    for (const [key, item] of last) if (!now.has(key)) await table.give(key, item, true);
    for (const [key, item] of now) await table.give(key, item, false);
    if (isFirst) await table.synced();
    last = now;
    await delay(lookEveryMs, undefined, { signal }).catch(() => {});
  }
  return 0;
}

function keyOf({ object, name }: Item): string {
  const { metadata } = object as { metadata?: { namespace?: string } };
  return `${metadata?.namespace ?? ''}/${name}`;
}
