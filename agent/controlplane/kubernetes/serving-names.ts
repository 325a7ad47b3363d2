import { isIP } from 'node:net';
import type { Node } from '../../api/index.js';
import type { AlternativeNames } from '../certificates/index.js';

/** What the certificate of the node's API must carry; undefined while the node has told no address. */
export function servingNames(node: Node | undefined): AlternativeNames | undefined {
  const all = node?.status?.addresses ?? [];
  const of = (pattern: RegExp, holds: (address: string) => boolean): string[] => [
    ...new Set(all.filter(({ type, address }) => pattern.test(type) && holds(address)).map((each) => each.address)),
  ];
  // The name of a node may be an address itself.
  const addresses = of(/^(Hostname|.*IP)$/, (address) => isIP(address) !== 0);
  const dnsNames = of(/^(Hostname|.*DNS)$/, (address) => isIP(address) === 0);
  return addresses.length === 0 ? undefined : { dnsNames, addresses };
}
