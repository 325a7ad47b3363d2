import type { NodeView, ImageList, List, ObjectRow, PodExplanation } from '../../serving/node-api/index.js';
import { apiPath, ClientError, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { describeFields, describePod } from '../output/describe-pod.js';
import { parseAsked, type Resource } from '../resource.js';

export interface DescribeFlags extends ClientFlags {
  readonly namespace?: string | undefined;
}

export async function describe(
  args: readonly string[],
  flags: DescribeFlags,
  context: CommandContext,
): Promise<number> {
  const { out } = context;
  const namespace = flags.namespace ?? 'default';
  let isFirst = true;
  for (const { resource, names } of parseAsked(args)) {
    const all = resource.type === 'nodes' && names.length === 0 ? [''] : names;
    if (all.length === 0) throw usage(`describe: expected a name, as in: berth describe ${args[0]} NAME`);
    for (const name of all) {
      if (!isFirst) out.write('\n\n');
      isFirst = false;
      out.write(await textOf(resource, namespace, name, context));
    }
  }
  return 0;
}

async function textOf(
  resource: Resource,
  namespace: string,
  name: string,
  { client }: CommandContext,
): Promise<string> {
  const absent = (what: string): ClientError =>
    new ClientError(`${what} "${name}" not found`, { code: 'refused', status: 404, reason: 'NotFound' });
  if (resource.type === 'nodes') {
    const node = await client.get<NodeView>('/v1/node');
    if (name !== '' && name !== node.name) throw absent('nodes');
    const { machineFacts } = await import('../machine-facts.js');
    // Without it the description is still a good one.
    const hardware = await machineFacts().catch(() => undefined);
    return describeFields({ ...node, ...(hardware && { hardware }) });
  }
  if (resource.type === 'pods') {
    const about = await client.get<PodExplanation>(apiPath('/v1/pods/{}/{}/why', namespace, name));
    if (!about.view) throw absent('pods');
    return describePod(about);
  }
  if (resource.type === 'images') {
    const { items } = await client.get<ImageList>('/v1/images');
    const found = items.find(
      ({ id, repoTags }) => repoTags.includes(name) || id === name || id.startsWith(`sha256:${name}`),
    );
    if (!found) throw absent('images');
    return describeFields({ ...found });
  }
  if (resource.type === 'objects') {
    const { items } = await client.get<List<ObjectRow>>(apiPath('/v1/objects/{}', resource.kind), { namespace, name });
    if (!items[0]) throw absent(resource.plural);
    return describeFields({ ...items[0] });
  }
  throw usage(`describe: ${resource.type} cannot be described; try: berth get ${resource.type} -o yaml`);
}
