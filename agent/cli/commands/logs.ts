import type { Pod } from '../../api/index.js';
import { allContainers, findContainer } from '../../api/pod-containers.js';
import type { List, PodView } from '../../serving/node-api/index.js';
import { apiPath, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { parseSelector } from '../output/selector.js';
import { chooseContainer } from '../choose-container.js';
import { podName } from '../resource.js';

export interface LogFlags extends ClientFlags {
  readonly namespace?: string | undefined;
  readonly container?: string | undefined;
  readonly allContainers?: boolean | undefined;
  readonly selector?: string | undefined;
  readonly prefix?: boolean | undefined;
  readonly follow?: boolean | undefined;
  readonly previous?: boolean | undefined;
  readonly timestamps?: boolean | undefined;
  readonly tail?: number | undefined;
  readonly since?: number | undefined;
  readonly sinceTime?: string | undefined;
  readonly limitBytes?: number | undefined;
}

interface Source {
  readonly pod: string;
  readonly container: string;
}

export async function logs(
  pod: string | undefined,
  container: string | undefined,
  flags: LogFlags,
  context: CommandContext,
): Promise<number> {
  const sources = await chooseSources(pod, container ?? flags.container, flags, context);
  const many = sources.length > 1;
  // kubectl shows only the end of each of many.
  const tailLines = flags.tail ?? (flags.selector !== undefined ? 10 : undefined);
  const results = await Promise.allSettled(
    sources.map((source) =>
      copyLog(source, { ...flags, tail: tailLines, prefix: flags.prefix ?? false }, many, context),
    ),
  );
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (failures.length > 0 && !context.signal.aborted) throw failures[0];
  return 0;
}

async function chooseSources(
  pod: string | undefined,
  container: string | undefined,
  flags: LogFlags,
  context: CommandContext,
): Promise<Source[]> {
  const namespace = flags.namespace ?? 'default';
  const { client } = context;
  if (flags.selector !== undefined) {
    if (pod !== undefined) throw usage('logs: give a pod or a selector, not both');
    const selected = parseSelector(flags.selector);
    const { items } = await client.get<List<PodView>>('/v1/pods', { namespace });
    return items
      .filter((view) => selected(view.pod.metadata?.labels ?? {}))
      .flatMap((view) => sourcesOf(view.pod, container, flags));
  }
  if (pod === undefined) throw usage('logs: expected a pod, as in: berth logs POD');
  const name = podName(pod);
  if (container !== undefined && !flags.allContainers) return [{ pod: name, container }];
  const view = await client.get<PodView>(apiPath('/v1/pods/{}/{}', namespace, name));
  if (flags.allContainers) return sourcesOf(view.pod, container, flags);
  return [{ pod: name, container: chooseContainer(view.pod, context.err) }];
}

function sourcesOf(pod: Pod, container: string | undefined, flags: LogFlags): Source[] {
  const name = pod.metadata?.name ?? '';
  if (flags.allContainers) return allContainers(pod).map((each) => ({ pod: name, container: each.container.name }));
  const chosen = container ?? pod.spec?.containers[0]?.name ?? '';
  return findContainer(pod, chosen) ? [{ pod: name, container: chosen }] : [];
}

async function copyLog(
  source: Source,
  flags: LogFlags,
  many: boolean,
  { client, out, signal }: CommandContext,
): Promise<void> {
  const call = {
    method: 'GET',
    path: apiPath('/v1/pods/{}/{}/log', flags.namespace ?? 'default', source.pod),
    query: {
      container: source.container,
      follow: flags.follow,
      previous: flags.previous,
      timestamps: flags.timestamps,
      // kubectl's "all lines".
      tailLines: flags.tail === -1 ? undefined : flags.tail,
      // Whole seconds, and none for all: as kubectl.
      sinceSeconds: flags.since ? Math.ceil(flags.since) : undefined,
      sinceTime: flags.sinceTime,
      limitBytes: flags.limitBytes,
    },
  } as const;
  const answer = await client.stream(call, signal);
  try {
    if (!flags.prefix && !many) {
      for await (const chunk of answer as AsyncIterable<Buffer>) await written(out, chunk);
      return;
    }
    const prefix = flags.prefix ? `[pod/${source.pod}/${source.container}] ` : '';
    let held = '';
    for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
      const parts = (held + chunk).split('\n');
      held = parts.pop() ?? '';
      await written(out, parts.map((line) => `${prefix}${line}\n`).join(''));
    }
    if (held !== '') await written(out, `${prefix}${held}\n`);
  } catch (err) {
    if (!signal.aborted) throw err;
  }
}

/** At the pace of whoever reads, so that a large log does not fill our memory. */
function written(out: NodeJS.WriteStream, chunk: Buffer | string): Promise<void> {
  return new Promise((resolve, reject) => out.write(chunk, (err) => (err ? reject(err) : resolve())));
}
