import type { PortMapping, Protocol } from '../../proto/generated/cri-v1.js';
import type { Pod } from '../api/index.js';

const protocols: Readonly<Record<string, Protocol>> = { TCP: 'TCP', UDP: 'UDP', SCTP: 'SCTP' };

/** The declared ports of the regular containers, host port 0 where there is none; each once (facts 7.2). */
export function portMappings(pod: Pod): PortMapping[] {
  const seen = new Set<string>();
  const mappings: PortMapping[] = [];
  for (const container of pod.spec?.containers ?? []) {
    for (const port of container.ports ?? []) {
      const protocol = protocols[port.protocol ?? 'TCP'] ?? 'TCP';
      const key = port.name
        ? `${container.name}-${port.name}`
        : `${protocol}-${port.hostIP ?? ''}:${port.containerPort}:${port.hostPort ?? 0}`;
      if (seen.has(key)) continue;
      seen.add(key);
      mappings.push({
        protocol,
        containerPort: port.containerPort,
        hostPort: port.hostPort ?? 0,
        hostIp: port.hostIP ?? '',
      });
    }
  }
  return mappings;
}
