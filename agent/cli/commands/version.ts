import type { NodeView } from '../../serving/node-api/index.js';
import { berthVersion } from '../../serving/version.js';
import { ClientError } from '../client/index.js';
import type { CommandContext } from '../command-context.js';

/** The command's own, and the agent's where one answers. */
export async function version({ client, out, err }: CommandContext): Promise<number> {
  out.write(`berth ${berthVersion}\n`);
  try {
    const node = await client.get<NodeView>('/v1/node');
    out.write(`agent ${node.version} (as a kubelet v${node.kubernetesVersion}), pid ${node.pid}\n`);
  } catch (failure) {
    if (!(failure instanceof ClientError)) throw failure;
    err.write(`${failure.message}\n`);
  }
  return 0;
}
