import type { PreferenceRequest } from '../../devices/endpoint.js';

export interface Gpu {
  /** What the plugin calls it; the UUID of a real one. */
  readonly id: string;
  readonly model: string;
  readonly nodes: readonly GpuNode[];
  readonly numaNodes: readonly number[];
}

export interface GpuNode {
  readonly hostPath: string;
  readonly containerPath: string;
}

export interface GpuSet {
  readonly gpus: readonly Gpu[];
  /** Nodes that every container with a GPU needs. */
  readonly shared: readonly GpuNode[];
  /** What was found and is not offered, and why. */
  readonly notes: readonly string[];
}

/** GPUs that talk to each other should sit on one NUMA node: the node that needs the fewest others, then the fullest. */
export function preferNear(set: GpuSet, request: PreferenceRequest): readonly string[] {
  const nodeOf = new Map(set.gpus.map((gpu) => [gpu.id, gpu.numaNodes[0] ?? -1]));
  const chosen = [...request.mustInclude];
  const open = request.available.filter((id) => !chosen.includes(id));
  while (chosen.length < request.size && open.length > 0) {
    const missing = request.size - chosen.length;
    const score = (id: string): number => {
      const node = nodeOf.get(id);
      const near = chosen.filter((other) => nodeOf.get(other) === node).length;
      const room = open.filter((other) => nodeOf.get(other) === node).length;
      // Near what is chosen first; then a node with just enough room; then the one with most.
      return near * 1000 + (room >= missing ? 500 - room : room);
    };
    const best = open.reduce((a, b) => (score(b) > score(a) ? b : a));
    chosen.push(best);
    open.splice(open.indexOf(best), 1);
  }
  return chosen;
}
