import { quantityValue } from '../../api/index.js';
import type { ConfigProblem } from './decode-fields.js';
import type { KubeletConfiguration } from './kubelet-configuration.js';

/** What can be told of `reservedMemory` without the machine, also where no memory policy uses it: the kubelet refuses it then, too. */
export function reservedMemoryProblems({ reservedMemory }: KubeletConfiguration): ConfigProblem[] {
  const seen = new Set<string>();
  return reservedMemory.flatMap(({ numaNode = 0, limits = {} }, index) =>
    Object.entries(limits).flatMap(([type, amount]) => {
      const key = `${numaNode} ${type}`;
      const again = seen.has(key);
      seen.add(key);
      const message = problemOf(type, amount, again ? `comes twice for NUMA node ${numaNode}` : undefined);
      return message === undefined ? [] : [{ path: `reservedMemory[${index}].limits.${type}`, message }];
    }),
  );
}

function problemOf(type: string, amount: string, twice: string | undefined): string | undefined {
  if (type !== 'memory' && !type.startsWith('hugepages-')) return 'only memory and hugepages-SIZE can be reserved';
  const bytes = bytesOf(amount);
  if (bytes === undefined) return `expected an amount such as "1Gi", got ${JSON.stringify(amount)}`;
  return bytes === 0 ? 'must be more than zero' : twice;
}

function bytesOf(amount: string): number | undefined {
  try {
    return quantityValue(amount);
  } catch {
    return undefined;
  }
}
