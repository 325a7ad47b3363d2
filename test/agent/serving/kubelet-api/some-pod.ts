import type { AgentPod } from '../../../../agent/agent.js';
import type { ContainerStatus, Pod, PodStatus, PodUid } from '../../../../agent/api/index.js';

/** A desired pod `default/<name>` with one container `main`, as the agent shows it. */
export function somePod(name: string, state: ContainerStatus['state'], more: Partial<ContainerStatus> = {}): AgentPod {
  const uid = `uid-${name}` as PodUid;
  const status: PodStatus = {
    phase: 'Running',
    containerStatuses: [{ name: 'main', image: 'busybox', imageID: '', ready: true, restartCount: 0, state, ...more }],
  };
  const pod: Pod = {
    metadata: { name, namespace: 'default', uid },
    spec: { containers: [{ name: 'main', image: 'busybox' }] },
  };
  const desired = { uid, pod, static: false };
  return { uid, desired, pod, status, waits: [], observed: { sandboxes: [], containers: [] }, progress: {} };
}
