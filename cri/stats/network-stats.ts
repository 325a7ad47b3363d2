import type * as v1 from '../../proto/generated/cri-v1.js';

export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

/** Interfaces of a /proc/PID/net/dev but the loopback, in its order. */
export function parseNetDev(text: string): InterfaceCounters[] {
  return text
    .split('\n')
    .slice(2)
    .flatMap((line) => {
      const at = line.indexOf(':');
      if (at < 0) return [];
      const name = line.slice(0, at).trim();
      const counters = line
        .slice(at + 1)
        .trim()
        .split(/\s+/)
        .map(Number);
      if (name === 'lo') return [];
      const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDropped = 0] = counters;
      const [txBytes = 0, txPackets = 0, txErrors = 0, txDropped = 0] = counters.slice(8);
      return [{ name, rxBytes, rxPackets, rxErrors, rxDropped, txBytes, txPackets, txErrors, txDropped }];
    });
}

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
