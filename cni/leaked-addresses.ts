import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
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
  for (const { config } of network.plugins) {
    const ipam = config['ipam'];
    if (!isObject(ipam) || ipam['type'] !== 'host-local') continue;
    const dataDir =
      typeof ipam['dataDir'] === 'string' && ipam['dataDir'] !== '' ? ipam['dataDir'] : '/var/lib/cni/networks';
    for (const id of await holdersIn(join(dataDir, network.name))) found.set(keyOf(id), id);
  }
  return [...found.values()];
}

async function holdersIn(folder: string): Promise<AttachmentId[]> {
  const names = await readdir(folder).catch(() => []);
  // IPv6 addresses have "_" in place of ":" in later releases; the lock and the last address given out are other files.
  const addresses = names.filter((name) => /^[\d.]+$|^[\da-f]*[:_][\da-f:_.]*$/.test(name));
  const holders = await Promise.all(
    addresses.map(async (name) => {
      const text = await readFile(join(folder, name), 'utf8').catch(() => '');
      const [containerId = '', ifName = ''] = text.trim().split(/\r?\n/);
      return containerId === '' || ifName === '' ? [] : [{ containerId, ifName }];
    }),
  );
  return holders.flat();
}
