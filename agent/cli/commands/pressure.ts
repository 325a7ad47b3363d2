import type { PressureView } from '../../serving/node-api/contract.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { usage } from '../client/index.js';

/** How near the node is to evicting pods, and which would go; the agent touches nothing for it. */
export async function pressure(
  flags: ClientFlags & { readonly whatIf?: boolean | undefined },
  { client, out }: CommandContext,
): Promise<number> {
  if (flags.whatIf !== true) throw usage('pressure shows what would happen: say --what-if');
  const { text } = await client.get<PressureView>('/v1/pressure');
  out.write(text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}
