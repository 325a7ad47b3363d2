import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';

/** All addresses of a name, as programs of this machine see them. */
export type LookUp = (name: string) => Promise<readonly string[]>;

const lookUpHere: LookUp = async (name) => (await lookup(name, { all: true })).map(({ address }) => address);

/**
 * True for a registry that can only be on this machine: an address of 127.0.0.0/8 or ::1, or the name `localhost` where every
 * address it has is one of those. No other name is looked up: who answers for it may change between the question and the pull.
 */
export async function isLoopbackHost(domain: string, lookUp: LookUp = lookUpHere): Promise<boolean> {
  const host = domain.replace(/:\d+$/, '');
  if (host !== 'localhost') return isLoopbackAddress(host.replace(/^\[(.*)\]$/, '$1'));
  try {
    const addresses = await lookUp(host);
    return addresses.length > 0 && addresses.every(isLoopbackAddress);
  } catch {
    return false; // nobody knows it: it is not this machine's
  }
}

function isLoopbackAddress(address: string): boolean {
  return isIPv4(address) ? address.startsWith('127.') : address === '::1';
}
