import type { NodeView } from '../../serving/node-api/index.js';
import { berthVersion } from '../../serving/version.js';
import { ClientError, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { renderValue } from '../output/print-objects.js';

export interface VersionFlags extends ClientFlags {
  readonly client?: boolean | undefined;
  readonly output?: string | undefined;
}

interface Versions {
  readonly berth: string;
  readonly agent?: { readonly berth: string; readonly kubernetes: string; readonly pid: number };
}

/** The command's own, and the agent's where one answers. */
export async function version(flags: VersionFlags, { client, out, err }: CommandContext): Promise<number> {
  const { output } = flags;
  if (output !== undefined && output !== 'json' && output !== 'yaml')
    throw usage(`version: read -o ${output}: expected json or yaml`);
  const versions: Versions = { berth: berthVersion, ...(!flags.client && (await agentVersions(client, err))) };
  if (output !== undefined) {
    out.write(await renderValue(versions, output));
    return 0;
  }
  out.write(`berth ${versions.berth}\n`);
  const { agent } = versions;
  if (agent) out.write(`agent ${agent.berth} (as a kubelet v${agent.kubernetes}), pid ${agent.pid}\n`);
  return 0;
}

/** That no agent runs is no failure of this command. */
async function agentVersions(
  client: CommandContext['client'],
  err: CommandContext['err'],
): Promise<Pick<Versions, 'agent'>> {
  try {
    const { version: berth, kubernetesVersion: kubernetes, pid } = await client.get<NodeView>('/v1/node');
    return { agent: { berth, kubernetes, pid } };
  } catch (failure) {
    if (!(failure instanceof ClientError)) throw failure;
    err.write(`${failure.message}\n`);
    return {};
  }
}
