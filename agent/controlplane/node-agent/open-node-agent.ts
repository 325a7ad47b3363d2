import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { ClusterSettings } from '../../config/cluster-config.js';
import type { ControlPlane } from '../control-plane.js';
import type { HostFacts } from '../../node/host-facts.js';
import { standsForAny } from '../../node/own-addresses.js';
import type { EventRecorder } from '../../events/event-recorder.js';
import { kubeVersion } from '../../config/agent-config.js';
import type { Quantity } from '../../api/index.js';
import type { CriRuntime } from '../../../cri/index.js';
import type { RuntimeHealth } from '../../runtimes/runtime-health.js';
import { BasicNodeStatus } from './basic-node-status.js';
import { NodeAgent } from './node-agent.js';
import type { NodeStatusSource } from './node-status-source.js';
import { leavingAddressesToProvider } from './provider-addresses.js';

export interface OpenNodeAgentDeps {
  readonly controlPlane: ControlPlane;
  /** What is told of the machine; what is always known when absent. */
  readonly source?: NodeStatusSource | undefined;
  /** Called when the node object was made or found. */
  registered?(signal: AbortSignal): Promise<void>;
  readonly runtime: CriRuntime;
  readonly rootDir: string;
  readonly world: { readonly health: RuntimeHealth; readonly allocatable: Readonly<Record<string, Quantity>> };
  readonly host: HostFacts;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Makes the node known to its cluster, and keeps it so. */
export function openNodeAgent(nodeName: string, settings: ClusterSettings, deps: OpenNodeAgentDeps): NodeAgent {
  const { controlPlane, host, events, clock, log, world, rootDir } = deps;
  const { statusEveryMs, reportEveryMs, leaseSeconds, providerId, nodeIps, externalCloudProvider } = settings;
  const own = deps.source ?? basicSource();
  const source = externalCloudProvider ? leavingAddressesToProvider(own, nodeIps.length > 0) : own;
  const { architecture } = host;
  const provided = externalCloudProvider && nodeIps.length > 0 && !nodeIps.some(standsForAny);
  const agent = new NodeAgent(
    {
      nodeName,
      labels: {
        'beta.kubernetes.io/arch': architecture,
        'beta.kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture,
        'kubernetes.io/os': 'linux',
        // What --hostname-override says goes for the label as well.
        'kubernetes.io/hostname': nodeName,
        ...settings.labels,
      },
      annotations: {
        ...(settings.controllerAttaches && { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' }),
        ...(provided && { 'alpha.kubernetes.io/provided-node-ip': nodeIps.join(',') }),
      },
      taints: [
        ...settings.taints,
        ...(externalCloudProvider
          ? [{ key: 'node.cloudprovider.kubernetes.io/uninitialized', value: 'true', effect: 'NoSchedule' as const }]
          : []),
      ],
      providerId,
      unschedulable: false,
      madeAnew: !existsSync(join(rootDir, 'device-plugins', 'kubelet_internal_checkpoint')),
      register: settings.registerNode,
      statusEveryMs,
      reportEveryMs,
      leaseSeconds,
    },
    {
      controlPlane,
      source,
      clock,
      log,
      registered: async (signal) => await deps.registered?.(signal),
      // Events of nodes name them without a UID, as the kubelet's do.
      event: ({ type, reason, message }) =>
        events.record({ kind: 'Node', name: nodeName, uid: nodeName }, type, reason, message),
    },
  );
  agent.start();
  return agent;

  function basicSource(): NodeStatusSource {
    return new BasicNodeStatus({
      clock,
      host,
      nodeName,
      rootDir,
      kubeletVersion: `v${kubeVersion}.0`,
      kubeletPort: settings.kubeletPort,
      allocatable: world.allocatable,
      health: () => world.health,
      runtimeVersion: async (signal) => {
        const { runtimeName, runtimeVersion } = await deps.runtime.runtime.version({ version: 'v1' }, signal);
        return `${runtimeName}://${runtimeVersion}`;
      },
    });
  }
}
