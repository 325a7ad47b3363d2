import type { NodeStatus } from '../../api/index.js';
import type { NodeStatusSource } from './node-status-source.js';

type Addresses = NonNullable<NodeStatus['addresses']>;

/**
 * Where a cloud's controller tells a node's addresses, they are its own to tell: the node says some only until they are there, and those by
 * which machines reach it only where `--node-ip` named them (facts 10.2).
 */
export function leavingAddressesToProvider(source: NodeStatusSource, hasNodeIps: boolean): NodeStatusSource {
  return {
    read: async (previous, signal) => {
      const { addresses = [], ...status } = await source.read(previous, signal);
      const own = ownAddresses(previous?.addresses ?? [], addresses, hasNodeIps);
      return own === undefined ? status : { ...status, addresses: own };
    },
    onChange: (listener) => source.onChange(listener),
  };
}

/** Undefined where others have spoken. */
function ownAddresses(shown: Addresses, found: Addresses, hasNodeIps: boolean): Addresses | undefined {
  if (shown.length > 0) return undefined;
  return found.filter(({ type }) => hasNodeIps || type === 'Hostname');
}
