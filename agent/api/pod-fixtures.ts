import type { Container, Pod, PodSpec } from './generated/types.js';

// For tests: a pod of one container, and what a test is about.

export const container = (fields: Partial<Container> = {}): Container => ({ name: 'a', image: 'busybox:1', ...fields });

export function podWith(spec: Partial<PodSpec>, name = 'web'): Pod {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { containers: [container()], ...spec } };
}
