import { readFile } from 'node:fs/promises';
import type { NetworkInterfaceInfo } from 'node:os';

export type Family = 'IPv4' | 'IPv6';
export type Interfaces = Readonly<
  Record<string, readonly Pick<NetworkInterfaceInfo, 'address' | 'family' | 'internal'>[] | undefined>
>;
/** The interface of each family by which everything is reached that no other route leads to. */
export type DefaultRoutes = Readonly<Partial<Record<Family, string | undefined>>>;

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
  /** Addresses that its name stands for. */
  readonly named?: readonly string[] | undefined;
  /** The interface of the default route of each family. */
  readonly routes?: DefaultRoutes | undefined;
  /** Of this, wherever it leads; of the other where there is none. */
  readonly family?: Family | undefined;
  /** The one it has: of several on one interface it stays, whatever else comes and goes there. */
  readonly current?: string | undefined;
}

/** An address that others may reach a machine by. */
export interface OwnAddress {
  readonly link: string;
  readonly address: string;
  readonly family: Family;
}

export function reachableAddresses(interfaces: Interfaces): readonly OwnAddress[] {
  return Object.entries(interfaces).flatMap(([link, addresses = []]) =>
    addresses
      .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address))
      .map(({ address, family }) => ({ link, address, family })),
  );
}

/**
 * One of those a machine is reached by: what the node's name stands for if it is one of them, else that of the default route, else any. A
 * second one is only told where `--node-ip` names it. Undefined where there are none.
 */
export function chooseAddress(all: readonly OwnAddress[], hints: AddressHints): string | undefined {
  const { named = [], routes = {}, family: asked, current } = hints;
  const rank = ({ link, address, family }: OwnAddress): number => {
    const isOther = family !== (asked ?? 'IPv4');
    if (named.includes(address)) return isOther ? 1 : 0;
    return (asked !== undefined && isOther ? 8 : 0) + (isOther ? 1 : 0) + (link === routes[family] ? 2 : 4);
  };
  const best = all.toSorted((a, b) => rank(a) - rank(b))[0];
  const stays = all.find(({ address, link }) => address === current && link === best?.link);
  return (best && stays && rank(stays) === rank(best) ? stays : best)?.address;
}

/** Of the families asked for: each link of a pod has lines of its own in the table of IPv6, which most machines have no address of. */
export async function defaultRoutes(families: ReadonlySet<Family>): Promise<DefaultRoutes> {
  const text = async (family: Family, name: string): Promise<string> =>
    families.has(family) ? await readFile(`/proc/net/${name}`, 'utf8').catch(() => '') : '';
  const [v4, v6] = await Promise.all([text('IPv4', 'route'), text('IPv6', 'ipv6_route')]);
  return { IPv4: defaultInterface(v4), IPv6: defaultInterface6(v6) };
}
