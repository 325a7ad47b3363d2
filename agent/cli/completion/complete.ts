import type { Command } from 'commander';
import type { ImageList, List, PodView } from '../../serving/node-api/index.js';
import { NodeApiClient, socketPath } from '../client/index.js';
import type { Completes } from '../command-groups/program-parts.js';
import { candidates, type Names } from './candidates.js';

/** Prints what may stand in the place of the last word, one a line. Silent without an agent: a completion never complains. */
export async function complete(
  program: Command,
  completes: ReadonlyMap<Command, Completes>,
  words: readonly string[],
): Promise<number> {
  const flagAt = words.indexOf('--socket');
  const client = new NodeApiClient(socketPath(flagAt >= 0 ? words[flagAt + 1] : undefined));
  const names: Names = {
    pods: async (namespace) =>
      (await client.get<List<PodView>>('/v1/pods', { namespace })).items.map(({ pod }) => pod.metadata?.name ?? ''),
    containers: async (namespace, name) => {
      const { items } = await client.get<List<PodView>>('/v1/pods', { namespace, name });
      const { spec } = items[0]?.pod ?? {};
      return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map((container) => container.name);
    },
    namespaces: async () => {
      const { items } = await client.get<List<PodView>>('/v1/pods');
      return [...new Set(items.map(({ pod }) => pod.metadata?.namespace ?? 'default'))];
    },
    images: async () => (await client.get<ImageList>('/v1/images')).items.flatMap(({ repoTags }) => repoTags),
  };
  const found = await candidates(program, completes, words, names).catch(() => []);
  for (const candidate of found) process.stdout.write(`${candidate}\n`);
  return 0;
}
