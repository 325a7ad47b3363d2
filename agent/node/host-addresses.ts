import { readFile } from 'node:fs/promises';
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';

export type Family = 'IPv4' | 'IPv6';
type Interfaces = Readonly<
  Record<string, readonly Pick<NetworkInterfaceInfo, 'address' | 'family' | 'internal'>[] | undefined>
>;

/** Of the text of /proc/net/route. */
export function defaultInterface(routes: string): string | undefined {
  const lines = routes.split('\n').slice(1);
  return lines.map((line) => line.split('\t')).find((fields) => fields[1] === '00000000')?.[0];
}

/**
 * The address that the machine's name stands for, if it is one of the machine's own (facts 10.2), else that of the default route, else any
 * that is not loopback or link-local; and one of the other family on the same interface.
 */
export function chooseAddresses(
  interfaces: Interfaces,
  preferred: string | undefined,
  named: readonly string[],
): string[] {
  const all = Object.entries(interfaces).flatMap(([name, addresses = []]) =>
    addresses
      .filter(({ internal, address }) => !internal && !address.startsWith('fe80'))
      .map(({ address, family }) => ({ name, address, v6: family === 'IPv6' })),
  );
  const rank = (entry: { name: string; address: string; v6: boolean }): number =>
    (named.includes(entry.address) ? 0 : 4) + (entry.name === preferred ? 0 : 2) + (entry.v6 ? 1 : 0);
  const [first, ...others] = all.toSorted((a, b) => rank(a) - rank(b));
  if (!first) return ['127.0.0.1'];
  const other = others.find((entry) => entry.v6 !== first.v6 && entry.name === first.name);
  return other ? [first.address, other.address] : [first.address];
}

/** An address of this family, of the default route's interface if that has one; of the other family where there is none. */
export function addressOfFamily(interfaces: Interfaces, preferred: string | undefined, family: Family): string {
  const own = (wanted: boolean): Interfaces =>
    Object.fromEntries(
      Object.entries(interfaces).map(([name, all = []]) => [
        name,
        all.filter((each) => (each.family === family) === wanted),
      ]),
    );
  const [first = ''] = chooseAddresses(own(true), preferred, []);
  return first === '127.0.0.1' ? (chooseAddresses(own(false), preferred, [])[0] ?? first) : first;
}

/** Of this machine. */
export async function ownAddressOf(family: Family): Promise<string> {
  const routes = await readFile('/proc/net/route', 'utf8').catch(() => '');
  return addressOfFamily(networkInterfaces(), defaultInterface(routes), family);
}
