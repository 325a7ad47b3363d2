import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeEnd, programSucceeded, type RunProgram } from '../base/run-program.js';
import { CniError } from './failure.js';
import { isObject } from './json.js';
import type { NetworkConfig } from './network-config.js';
import { keyOf } from './attachment-store.js';
import type { AttachmentId } from './request-config.js';

/**
 * Attachments for which `host-local` holds an address in this network: it writes container id and interface into a file named
 * after the address. No release of it (up to 1.9 at least) has GC, so an address whose record was lost would be held for ever.
 */
export async function hostLocalHolders(network: NetworkConfig): Promise<AttachmentId[]> {
  const found = new Map<string, AttachmentId>();
  for (const folder of addressFolders(network)) {
    for (const id of await holdersIn(folder)) found.set(keyOf(id), id);
  }
  return [...found.values()];
}

/**
 * Frees addresses that nobody holds: `host-local` makes the file and then writes into it whose the address is. Killed in between, it
 * leaves an empty file, which no DEL finds and which would be in the way for ever. Another call may be at the same point right now:
 * such a file is looked at again, and removed, under the lock that `host-local` itself takes.
 */
export async function freeUnheld(
  network: NetworkConfig,
  deps: { readonly run: RunProgram; readonly path: string },
  signal: AbortSignal,
): Promise<void> {
  for (const folder of addressFolders(network)) {
    const empty = await emptyIn(folder);
    if (empty.length === 0) continue;
    const names = empty.flatMap((name, at) => [...(at === 0 ? [] : ['-o']), '-name', name]);
    const find = ['find', folder, '-maxdepth', '1', '-type', 'f', '-empty', '(', ...names, ')', '-delete'];
    const argv = ['flock', '--timeout', '10', join(folder, 'lock'), ...find] as const;
    const result = await deps.run({ argv, env: { PATH: deps.path, LC_ALL: 'C' }, timeoutMs: 15_000 }, signal);
    if (programSucceeded(result)) continue;
    const exitCode = result.end.kind === 'exited' ? result.end.code : null;
    const failure = { code: 'crashed', plugin: 'flock', verb: 'DEL', exitCode } as const;
    throw new CniError(`free addresses without a holder: flock ${describeEnd(result)}`, failure);
  }
}

function addressFolders(network: NetworkConfig): string[] {
  return network.plugins.flatMap(({ config: { ipam } }) => {
    if (!isObject(ipam) || ipam['type'] !== 'host-local') return [];
    const { dataDir } = ipam;
    return [join(typeof dataDir === 'string' && dataDir !== '' ? dataDir : '/var/lib/cni/networks', network.name)];
  });
}

/** IPv6 addresses have "_" in place of ":" in later releases; the lock and the last address given out are other files. */
async function addressesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => /^[\d.]+$|^[\da-f]*[:_][\da-f:_.]*$/.test(name));
}

async function emptyIn(folder: string): Promise<string[]> {
  const found = await Promise.all(
    (await addressesIn(folder)).map(async (name) => {
      const size = await stat(join(folder, name)).then(
        (file) => file.size,
        () => undefined,
      );
      return size === 0 ? [name] : [];
    }),
  );
  return found.flat();
}

async function holdersIn(folder: string): Promise<AttachmentId[]> {
  const holders = await Promise.all(
    (await addressesIn(folder)).map(async (name) => {
      const text = await readFile(join(folder, name), 'utf8').catch(() => '');
      const [containerId = '', ifName = ''] = text.trim().split(/\r?\n/);
      return containerId === '' || ifName === '' ? [] : [{ containerId, ifName }];
    }),
  );
  return holders.flat();
}
