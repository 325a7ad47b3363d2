import { podUidOf, type Pod } from '../../../api/index.js';
import { sendJson, type CallHandler } from './call.js';
import type { Host } from './find-pod.js';

const list = (items: readonly object[]): object => ({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items });

/** `/pods`: what the sources want of this node, with the statuses as they are now. */
export function desiredPods(host: Host): CallHandler {
  return (_call, response) => {
    const items = host.pods().flatMap(({ desired, pod, status }) => {
      if (!desired || !pod) return [];
      const { metadata, spec } = pod;
      return [{ metadata, spec, ...(status && { status }) }];
    });
    sendJson(response, list(items));
  };
}

/** `/runningpods/`: what the runtime runs, whoever wants it. */
export function runningPods(host: Host): CallHandler {
  return (_call, response) => {
    const items = host.pods().flatMap(({ uid, pod, observed }): Pod[] => {
      const running = observed?.containers.filter(({ state }) => state === 'running') ?? [];
      if (running.length === 0) return [];
      const { name = '', namespace = 'default' } = pod?.metadata ?? {};
      const containers = running.map(({ name: container, image }) => ({ name: container, image }));
      return [{ metadata: { name, namespace, uid: pod ? podUidOf(pod) : uid }, spec: { containers }, status: {} }];
    });
    sendJson(response, list(items));
  };
}
