import { isIP } from 'node:net';
import type { Node } from '../api/index.js';
import type { HostFacts } from './host-facts.js';

/**
 * The addresses of the node as its pods are told them: of the node object, where a cloud's controller may have the last word, the first one by
 * which machines inside reach it, and the first of the other family (facts 2.8); those that the machine found itself while there are none.
 */
export function hostIpsOf(node: Node | undefined, own: readonly string[]): readonly string[] {
  const addresses = (node?.status?.addresses ?? []).filter(({ address }) => isIP(address) !== 0);
  const of = (type: string): string[] => addresses.filter((each) => each.type === type).map(({ address }) => address);
  const [first, ...others] = [...of('InternalIP'), ...of('ExternalIP')];
  if (first === undefined) return own;
  const other = others.find((address) => isIP(address) !== isIP(first));
  return other === undefined ? [first] : [first, other];
}

/** The machine with the addresses that pods are told at the time they are. */
export const toldToPods = (host: HostFacts, node: () => Node | undefined): HostFacts => ({
  ...host,
  get addresses() {
    return hostIpsOf(node(), host.addresses);
  },
});
