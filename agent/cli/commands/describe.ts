import type { ImageRow, NodeView, PodExplanation } from '../../serving/node-api/index.js';
import { apiPath, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { describeFields, describePod } from '../output/describe-pod.js';
import { parseAsked, type Resource } from '../resource.js';
import { chooser } from './choose-items.js';
import { findResources, notFoundText, type Item } from './found-resources.js';

export interface DescribeFlags extends ClientFlags {
  readonly namespace?: string | undefined;
  readonly allNamespaces?: boolean | undefined;
  readonly selector?: string | undefined;
}

/** Those that are named, or all of a type; what is not there does not keep the others from being shown. */
export async function describe(
  args: readonly string[],
  flags: DescribeFlags,
  context: CommandContext,
): Promise<number> {
  const { client, out, err } = context;
  const namespace = flags.allNamespaces ? undefined : (flags.namespace ?? 'default');
  let code = 0;
  let shown = 0;
  for (const { resource, names } of parseAsked(args)) {
    requireDescribable(resource);
    const found = await findResources(resource, { namespace, wide: false, showValues: false }, client);
    const choice = await chooser([], flags);
    const all = found.items.filter(choice);
    for (const name of names.filter((each) => named(each, resource, all).length === 0)) {
      err.write(notFoundText(found, name));
      code = 1;
    }
    const items = names.length === 0 ? all : names.flatMap((name) => named(name, resource, all));
    for (const item of items) {
      if (shown++ > 0) out.write('\n\n');
      out.write(await textOf(resource, item, context));
    }
  }
  if (shown === 0 && code === 0) err.write('No resources found\n');
  return code;
}

function requireDescribable({ type }: Resource): void {
  if (['pods', 'nodes', 'images', 'objects'].includes(type)) return;
  throw usage(`describe: ${type} cannot be described; try: berth get ${type} -o yaml`);
}

/** The one of that name, else all whose names begin with it, as kubectl; images have many names. */
function named(name: string, { type }: Resource, items: readonly Item[]): readonly Item[] {
  if (type === 'images')
    return items.filter(({ object }) => {
      const { id, repoTags } = object as ImageRow;
      return repoTags.includes(name) || id === name || id.startsWith(`sha256:${name}`);
    });
  const exact = items.filter((item) => item.name === name);
  return exact.length > 0 ? exact : items.filter((item) => item.name.startsWith(name));
}

async function textOf(resource: Resource, { object, name }: Item, { client }: CommandContext): Promise<string> {
  if (resource.type === 'nodes') {
    const { machineFacts } = await import('../machine-facts.js');
    // Without it the description is still a good one.
    const hardware = await machineFacts().catch(() => undefined);
    const node = await client.get<NodeView>('/v1/node');
    return describeFields({ ...node, ...(hardware && { hardware }) });
  }
  if (resource.type === 'pods') {
    const { metadata } = object as { metadata?: { namespace?: string } };
    const path = apiPath('/v1/pods/{}/{}/why', metadata?.namespace ?? 'default', name);
    return describePod(await client.get<PodExplanation>(path));
  }
  return describeFields({ ...object });
}
