import type { NodeView } from '../../serving/node-api/index.js';

/** The node as `kubectl get node -o json` has it, so that templates for it work here; what only berth knows stands beside. */
export function nodeObject(node: NodeView): object {
  const { name, version, pid, startedAt, controlPlane, pods, runtime } = node;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: {
      addresses: [
        ...node.addresses.map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: name },
      ],
      capacity: node.capacity,
      allocatable: node.allocatable,
      conditions: node.conditions.map(({ status, ...condition }) => {
        return { ...condition, status: status ? 'True' : 'False' };
      }),
      nodeInfo: {
        architecture: node.architecture,
        containerRuntimeVersion: `${runtime.name}://${runtime.version}`,
        kernelVersion: node.kernel,
        kubeletVersion: `v${node.kubernetesVersion}`,
        operatingSystem: 'linux',
        osImage: node.osImage,
      },
    },
    berth: { version, pid, startedAt: new Date(startedAt).toISOString(), controlPlane, pods },
  };
}
