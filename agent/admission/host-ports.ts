import type { Pod } from '../api/index.js';

interface HostPort {
  readonly port: number;
  readonly protocol: string;
  readonly ip: string;
}

/** Whether a host port of the pod is one that another pod has. */
export function hostPortClash(pod: Pod, active: readonly Pod[]): boolean {
  const wanted = hostPortsOf(pod);
  if (wanted.length === 0) return false;
  const taken = active.flatMap(hostPortsOf);
  return wanted.some((port) =>
    taken.some((other) => port.port === other.port && port.protocol === other.protocol && overlap(port.ip, other.ip)),
  );
}

function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter((container) => container.restartPolicy === 'Always');
  return [...(pod.spec?.containers ?? []), ...sidecars].flatMap((container) =>
    (container.ports ?? []).flatMap(({ hostPort, protocol = 'TCP', hostIP }) =>
      hostPort ? [{ port: hostPort, protocol, ip: hostIP || '0.0.0.0' }] : [],
    ),
  );
}

const overlap = (a: string, b: string): boolean => a === b || a === '0.0.0.0' || b === '0.0.0.0';
