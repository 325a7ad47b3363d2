import type { PodExplanation } from '../../serving/node-api/index.js';
import { apiPath, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { renderValue, wantsObjects, type OutputFlags } from '../output/print-objects.js';
import { podName } from '../resource.js';
import { explain } from '../why/explain.js';

/** Exit code 1 only where there is nothing to explain: a pod in trouble is an answer. */
export async function why(
  pod: string,
  flags: ClientFlags & OutputFlags & { readonly namespace?: string | undefined },
  { client, out }: CommandContext,
): Promise<number> {
  if (flags.output !== undefined && !wantsObjects(flags.output))
    throw usage(`why: read -o ${flags.output}: expected json, yaml or jsonpath=TEMPLATE`);
  const namespace = flags.namespace ?? 'default';
  const name = podName(pod);
  const about = await client.get<PodExplanation>(apiPath('/v1/pods/{}/{}/why', namespace, name));
  out.write(wantsObjects(flags.output) ? await renderValue(about, flags.output) : explain(namespace, name, about));
  return about.view ? 0 : 1;
}
