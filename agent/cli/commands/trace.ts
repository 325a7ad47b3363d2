import type { RecordedCall } from '../../recorder/recorded-call.js';
import type { List, WatchLine } from '../../serving/node-api/index.js';
import { usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { callDetails, callLine } from '../output/call-text.js';
import { renderValue, wantsObjects, type OutputFlags } from '../output/print-objects.js';
import { podName } from '../resource.js';

export interface TraceFlags extends ClientFlags, OutputFlags {
  readonly namespace?: string | undefined;
  readonly plugin?: string | undefined;
  readonly interface?: string | undefined;
  readonly verb?: string | undefined;
  readonly failed?: boolean | undefined;
  readonly running?: boolean | undefined;
  readonly last?: number | undefined;
  readonly follow?: boolean | undefined;
  readonly verbose?: boolean | undefined;
}

/** The calls that left the agent for plugins and programs, oldest first. */
export async function trace(
  pod: string | undefined,
  flags: TraceFlags,
  { client, out, err, signal }: CommandContext,
): Promise<number> {
  if (flags.output !== undefined && flags.output !== 'wide' && !wantsObjects(flags.output))
    throw usage(`trace: read -o ${flags.output}: expected json, yaml, wide or jsonpath=TEMPLATE`);
  const query = {
    namespace: flags.namespace,
    pod: pod === undefined ? undefined : podName(pod),
    plugin: flags.plugin,
    interface: flags.interface,
    verb: flags.verb,
    failed: flags.failed,
    running: flags.running,
    last: flags.last ?? (pod === undefined && !flags.follow ? 100 : undefined),
  };
  const show = async (call: RecordedCall): Promise<void> => {
    if (wantsObjects(flags.output)) out.write(await renderValue(call, flags.output));
    else
      out.write(flags.verbose || flags.output === 'wide' ? callDetails(call, Date.now()) : callLine(call, Date.now()));
  };
  if (!flags.follow) {
    const { items } = await client.get<List<RecordedCall>>('/v1/calls', { ...query, earlier: true });
    if (wantsObjects(flags.output)) out.write(await renderValue({ kind: 'List', items }, flags.output));
    else for (const call of items) await show(call);
    if (items.length === 0) err.write('No calls are recorded that match.\n');
    return 0;
  }
  const call = { method: 'GET', path: '/v1/calls', query: { ...query, last: flags.last ?? 0, watch: true } } as const;
  for await (const line of client.lines<WatchLine<RecordedCall>>(call, signal))
    if (line.type !== 'SYNCED') await show(line.object);
  return 0;
}
