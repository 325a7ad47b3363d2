import type { NodeView } from '../../serving/node-api/index.js';
import type { Summary } from '../../stats/summary-types.js';
import { usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { tableText } from '../output/table.js';
import { nodeUsageTable, podUsageTable, type UsageTable } from '../output/usage-tables.js';
import { parseAsked } from '../resource.js';
import { chooser, type ChoiceFlags } from './choose-items.js';
import { findResources, notFoundText } from './found-resources.js';

export interface TopFlags extends ClientFlags, Pick<ChoiceFlags, 'selector' | 'fieldSelector'> {
  readonly namespace?: string | undefined;
  readonly allNamespaces?: boolean | undefined;
  readonly containers?: boolean | undefined;
  readonly sortBy?: 'cpu' | 'memory' | undefined;
  readonly sum?: boolean | undefined;
  /** False for `--no-headers`. */
  readonly headers?: boolean | undefined;
}

/** CPU and memory of pods, or of the node, at this moment. Pods of which nothing runs use nothing and are left out. */
export async function top(args: readonly string[], flags: TopFlags, context: CommandContext): Promise<number> {
  const [asked, ...more] = parseAsked(args);
  if (asked === undefined || more.length > 0 || !['pods', 'nodes'].includes(asked.resource.type))
    throw usage('top: it shows pods or the node: berth top pods, berth top node');
  return asked.resource.type === 'nodes'
    ? await topNode(asked.names, flags, context)
    : await topPods(asked.names, flags, context);
}

async function topPods(names: readonly string[], flags: TopFlags, context: CommandContext): Promise<number> {
  const { client, err } = context;
  const namespace = flags.allNamespaces ? undefined : (flags.namespace ?? 'default');
  const find = { namespace, wide: false, showValues: false };
  const [all, { pods }] = await Promise.all([findResources({ type: 'pods' }, find, client), summary(context)]);
  const isChosen = await chooser(names, flags);
  const uids = new Set(all.items.filter(isChosen).map(({ object }) => uidOf(object)));
  const absent = names.filter((name) => !all.items.some((item) => item.name === name));
  for (const name of absent) err.write(notFoundText(all, name));
  const used = pods.filter(({ podRef, containers }) => uids.has(podRef.uid) && containers.length > 0);
  if (used.length > 0) {
    const { containers = false, sortBy, sum = false } = flags;
    print(podUsageTable(used, { namespaces: namespace === undefined, containers, sortBy, sum }), flags, context);
  } else if (absent.length === 0) {
    const where = namespace === undefined ? '' : ` in ${namespace} namespace`;
    err.write(`No pod${names.length > 0 ? ' of them' : ''} has containers that run${where}, or none was counted yet\n`);
  }
  return absent.length > 0 ? 1 : 0;
}

async function topNode(names: readonly string[], flags: TopFlags, context: CommandContext): Promise<number> {
  const [{ node }, { name, allocatable }] = await Promise.all([
    summary(context),
    context.client.get<NodeView>('/v1/node'),
  ]);
  const absent = names.filter((asked) => asked !== name);
  for (const asked of absent) context.err.write(`Error: nodes "${asked}" not found; this node is "${name}"\n`);
  if (names.length === 0 || names.includes(name)) print(nodeUsageTable(node, allocatable), flags, context);
  return absent.length > 0 ? 1 : 0;
}

const summary = async ({ client }: CommandContext): Promise<Summary> =>
  await client.get<Summary>('/v1/stats/summary', { onlyCpuAndMemory: true });

const uidOf = (pod: object): string => (pod as { metadata?: { uid?: string } }).metadata?.uid ?? '';

function print({ header, rows }: UsageTable, { headers }: TopFlags, { out }: CommandContext): void {
  out.write(tableText(header, rows, headers));
}
