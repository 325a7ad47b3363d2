import { isExtendedResource } from '../../deviceplugin/index.js';
import type { Node, Quantity } from '../api/index.js';

type Amounts = Readonly<Record<string, Quantity>>;

/**
 * Extended resources that the node object has and that the device manager knows nothing of: an operator wrote them there, and pods are
 * measured against them as against everything else. So are those of which nothing is left, as of a plugin that went before this agent
 * came: a pod that asks for one would run without it. A resource that is not there at all is nobody's to count here (facts 1.2).
 */
export function knownResources(node: Node | undefined, ofPlugins: Amounts): Amounts {
  const { capacity = {}, allocatable = {} } = node?.status ?? {};
  // What was only just written is in the capacity first.
  const shown = Object.entries({ ...capacity, ...allocatable });
  return Object.fromEntries(shown.filter(([name]) => ofPlugins[name] === undefined && isExtendedResource(name)));
}
