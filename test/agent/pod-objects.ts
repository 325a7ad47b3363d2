import type { Container, Pod, PodSpec } from '../../agent/api/index.js';
import { sampleImage } from './agent-world.js';

/** Runs until it is told to stop, and then ends at once. */
export const idle = "trap 'exit 0' TERM; sleep 1000000 & wait";

/** A container that runs a shell script. */
export function script(name: string, text: string, more: Partial<Container> = {}): Container {
  return { name, image: sampleImage, command: ['sh', '-c', text], ...more };
}

export function container(name: string, more: Partial<Container> = {}): Container {
  return script(name, idle, more);
}

/** A pod as JSON, which is YAML too; it may be asked to end within a second. */
export function podManifest(name: string, spec: Partial<PodSpec>, metadata: Pod['metadata'] = {}): string {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: { terminationGracePeriodSeconds: 1, containers: [], ...spec },
  };
  return JSON.stringify(pod);
}
