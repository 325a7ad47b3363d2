import { apiPath } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { podName } from '../resource.js';

/** What the pods wait for is tried now, whatever their back-off says. */
export async function retry(
  pods: readonly string[],
  flags: ClientFlags & { readonly namespace?: string | undefined },
  { client, out }: CommandContext,
): Promise<number> {
  for (const pod of pods) {
    const name = podName(pod);
    await client.post(apiPath('/v1/pods/{}/{}/retry', flags.namespace ?? 'default', name));
    out.write(`pod/${name} retried\n`);
  }
  return 0;
}
