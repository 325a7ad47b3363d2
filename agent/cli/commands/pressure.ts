import type { PressureView } from '../../serving/node-api/contract.js';
import type { ClientFlags, CommandContext } from '../command-context.js';

/** How near the node is to evicting pods, and which would go; the agent touches nothing for it. */
export async function pressure(_flags: ClientFlags, { client, out }: CommandContext): Promise<number> {
  const { text } = await client.get<PressureView>('/v1/pressure');
  out.write(text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}
