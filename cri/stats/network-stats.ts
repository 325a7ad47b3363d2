import type { InterfaceCounters } from '../../base/net-dev.js';
import type * as v1 from '../../proto/generated/cri-v1.js';

/** The interface a pod's traffic counts on: eth0, else the first. */
export function networkUsage(interfaces: readonly InterfaceCounters[], timestamp: number): v1.NetworkUsage {
  const main = interfaces.find((candidate) => candidate.name === 'eth0') ?? interfaces[0];
  const others = interfaces.filter((candidate) => candidate !== main);
  return { timestamp, defaultInterface: main && usageOf(main), interfaces: others.map(usageOf) };
}

function usageOf({ name, rxBytes, rxErrors, txBytes, txErrors }: InterfaceCounters): v1.NetworkInterfaceUsage {
  return {
    name,
    rxBytes: { value: rxBytes },
    rxErrors: { value: rxErrors },
    txBytes: { value: txBytes },
    txErrors: { value: txErrors },
  };
}
