import type { Logger } from '../../base/log.js';
import type { Bandwidth, Cni } from '../../cni/index.js';
import type { SandboxNetwork, SandboxNetworkRequest, SandboxNetworkResult } from '../../cri/index.js';
import { quantityValue } from '../api/index.js';

/** The network of runtimes that have none of their own: CNI behind the interface they declare. */
export function cniSandboxNetwork(cni: Cni, log: Logger): SandboxNetwork {
  return {
    async attach(request: SandboxNetworkRequest, signal: AbortSignal): Promise<SandboxNetworkResult> {
      const { pod, portMappings, dns, cgroupPath, annotations } = request;
      const attached = await cni.attach(
        {
          containerId: request.sandboxId,
          netns: request.netnsPath,
          pod,
          capabilities: {
            portMappings: portMappings.map(({ protocol, containerPort, hostPort, hostIp }) => ({
              protocol,
              containerPort,
              hostPort,
              hostIP: hostIp,
            })),
            bandwidth: bandwidthOf(annotations),
            dns: { servers: dns.servers, searches: dns.searches, options: dns.options },
            cgroupPath,
          },
        },
        signal,
      );
      // Resolver and cgroup are offered to any plugin that wants them; these two the pod asked for.
      const unmet = attached.unmetCapabilities.filter((name) => name === 'portMappings' || name === 'bandwidth');
      if (unmet.length > 0)
        log.warn({ podUid: pod.uid, network: attached.network, unmet }, 'network has no plugin for what the pod asks');
      return { ips: attached.addresses };
    },
    detach: (sandboxId, signal) => cni.detach({ containerId: sandboxId }, signal),
    attached: () => Promise.resolve(cni.attachments().map((attachment) => attachment.containerId)),
    async status(signal) {
      const status = await cni.status(signal);
      if (status.ready) return { ready: true, reason: '', message: '' };
      return { ready: false, reason: 'NetworkPluginNotReady', message: status.reason };
    },
  };
}

/** The pod annotations of the bandwidth plugin, in bits per second; bursts as large as the kernel takes. */
function bandwidthOf(annotations: Readonly<Record<string, string>>): Bandwidth | undefined {
  const ingress = annotations['kubernetes.io/ingress-bandwidth'];
  const egress = annotations['kubernetes.io/egress-bandwidth'];
  if (ingress === undefined && egress === undefined) return undefined;
  const burst = 2 ** 31 - 1;
  return {
    ...(ingress === undefined ? {} : { ingressRate: quantityValue(ingress), ingressBurst: burst }),
    ...(egress === undefined ? {} : { egressRate: quantityValue(egress), egressBurst: burst }),
  };
}
