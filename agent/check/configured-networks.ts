import { join } from 'node:path';
import type { Host } from './host.js';

export interface ConfiguredNetworks {
  /** The first one is used. */
  readonly names: readonly string[];
  /** Programs the first one needs, address plugins included. */
  readonly types: readonly string[];
  readonly problems: readonly { readonly file: string; readonly reason: string }[];
}

interface Plugin {
  readonly type?: unknown;
  readonly ipam?: { readonly type?: unknown };
}

/** Names and programs of the networks of a folder, as far as that can be told without running anything. */
export async function loadNetworks(host: Host, confDir: string): Promise<ConfiguredNetworks> {
  const files = (await host.list(confDir)).filter((name) => /\.(conflist|conf|json)$/.test(name)).toSorted();
  const names: string[] = [];
  const problems: { file: string; reason: string }[] = [];
  let types: string[] | undefined;
  for (const file of files) {
    const found = readNetwork((await host.read(join(confDir, file))) ?? '');
    if ('reason' in found) problems.push({ file, reason: found.reason });
    else {
      names.push(found.name);
      types ??= found.types;
    }
  }
  return { names, types: types ?? [], problems };
}

function readNetwork(text: string): { name: string; types: string[] } | { reason: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (err) {
    return { reason: err instanceof Error ? err.message : String(err) };
  }
  if (typeof parsed !== 'object' || parsed === null) return { reason: 'not an object' };
  const { name, plugins, ...single } = parsed as { name?: unknown; plugins?: unknown } & Plugin;
  if (typeof name !== 'string' || name === '') return { reason: 'it has no name' };
  const chain = Array.isArray(plugins) ? (plugins as Plugin[]) : [single];
  const types = chain.flatMap(({ type, ipam }) => [type, ipam?.type]).filter((type) => typeof type === 'string');
  return types.length === 0 ? { reason: 'it names no plugin' } : { name, types: [...new Set(types)] };
}
