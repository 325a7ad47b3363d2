import { isExtendedResource } from '../../deviceplugin/index.js';
import { quantityValue, type Node, type Quantity } from '../api/index.js';

type Amounts = Readonly<Record<string, Quantity>>;

/**
 * Extended resources that the node object has and that no plugin of this node brought: an operator wrote them there, and pods are measured
 * against them as against everything else. A resource that is not there at all is nobody's to count here (facts 1.2). Nor is one of
 * which there is nothing: that is what is left of a plugin, and whether it comes back is the device manager's to say.
 */
export function knownResources(node: Node | undefined, ofPlugins: Amounts): Amounts {
  const { capacity = {}, allocatable = {} } = node?.status ?? {};
  // What was only just written is in the capacity first.
  const shown = Object.entries({ ...capacity, ...allocatable });
  return Object.fromEntries(
    shown.filter(
      ([name, amount]) => ofPlugins[name] === undefined && isExtendedResource(name) && quantityValue(amount) > 0,
    ),
  );
}
