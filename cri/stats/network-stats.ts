import type * as v1 from '../../proto/generated/cri-v1.js';

/** Interfaces of a /proc/PID/net/dev but the loopback, in its order. */
export function parseNetDev(text: string): v1.NetworkInterfaceUsage[] {
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
      const [rxBytes = 0, , rxErrors = 0] = counters;
      const [txBytes = 0, , txErrors = 0] = counters.slice(8);
      return [
        {
          name,
          rxBytes: { value: rxBytes },
          rxErrors: { value: rxErrors },
          txBytes: { value: txBytes },
          txErrors: { value: txErrors },
        },
      ];
    });
}

/** The interface a pod's traffic counts on: eth0, else the first. */
export function networkUsage(interfaces: readonly v1.NetworkInterfaceUsage[], timestamp: number): v1.NetworkUsage {
  const main = interfaces.find((candidate) => candidate.name === 'eth0') ?? interfaces[0];
  return { timestamp, defaultInterface: main, interfaces: interfaces.filter((candidate) => candidate !== main) };
}
