import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

export type Family = 'IPv4' | 'IPv6';
type Interfaces = Readonly<
  Record<string, readonly Pick<NetworkInterfaceInfo, 'address' | 'family' | 'internal'>[] | undefined>
>;

/** Of the text of /proc/net/route. */
export function defaultInterface(routes: string): string | undefined {
  const lines = routes.split('\n').slice(1);
  return lines.map((line) => line.split('\t')).find((fields) => fields[1] === '00000000')?.[0];
}

/** Of the text of /proc/net/ipv6_route, where what nobody can reach goes to loopback. */
export function defaultInterface6(routes: string): string | undefined {
  const lines = routes.split('\n').map((line) => line.trim().split(/ +/));
  const nowhere = /^0{32}$/;
  return lines.find(
    ([to = '', length, , , , , , , , link]) => nowhere.test(to) && length === '00' && link !== 'lo',
  )?.[9];
}

/** What a node is reached by, in the kubelet's order (facts 10.2). */
export interface AddressHints {
  /** The node's name is an address. */
  readonly name?: string | undefined;
  /** Addresses that its name stands for. */
  readonly named?: readonly string[] | undefined;
  /** The interface of the default route of each family. */
  readonly routes?: Readonly<Partial<Record<Family, string | undefined>>> | undefined;
  /** Of this, wherever it leads; of the other where there is none. */
  readonly family?: Family | undefined;
}

/**
 * One address: what the node's name is, or stands for if it is one of the machine's own, else that of the default route, else any that is not
 * loopback or link-local. A second one is only told where `--node-ip` names it.
 */
export function chooseAddress(interfaces: Interfaces, hints: AddressHints): string {
  const { name = '', named = [], routes = {}, family: asked } = hints;
  if (isIP(name) !== 0) return name;
  const all = Object.entries(interfaces).flatMap(([link, addresses = []]) =>
    addresses
      .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address))
      .map(({ address, family }) => ({ link, address, family })),
  );
  const rank = ({ link, address, family }: (typeof all)[number]): number =>
    (asked !== undefined && family !== asked ? 8 : 0) +
    (family === 'IPv4' ? 0 : 1) +
    (named.includes(address) ? 0 : link === routes[family] ? 2 : 4);
  return all.toSorted((a, b) => rank(a) - rank(b))[0]?.address ?? '127.0.0.1';
}

/** Of this machine, where an address stands for any of its family. */
export async function ownAddressOf(family: Family): Promise<string> {
  return chooseAddress(networkInterfaces(), { family, routes: await defaultRoutes() });
}

/** The address of a node of this name on this machine. */
export async function ownAddress(name: string): Promise<string> {
  const [routes, named] = await Promise.all([defaultRoutes(), isIP(name) === 0 ? addressesOfName(name) : []]);
  return chooseAddress(networkInterfaces(), { name, named, routes });
}

async function defaultRoutes(): Promise<AddressHints['routes']> {
  const text = (name: string): Promise<string> => readFile(`/proc/net/${name}`, 'utf8').catch(() => '');
  const [v4, v6] = await Promise.all([text('route'), text('ipv6_route')]);
  return { IPv4: defaultInterface(v4), IPv6: defaultInterface6(v6) };
}

/** A name server that is away must not keep the node from starting. */
const lookupMs = 1000;

/** What a name stands for; nothing where that is not told soon. */
async function addressesOfName(name: string): Promise<string[]> {
  const limit = new AbortController();
  try {
    const found = lookup(name, { all: true }).then((all) => all.map(({ address }) => address));
    return await Promise.race([found, delay(lookupMs, [], { signal: limit.signal })]);
  } catch {
    return [];
  } finally {
    limit.abort();
  }
}
