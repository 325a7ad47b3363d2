import { quantityMilliValue } from '../../api/quantity.js';
import type { ContainerStats, NodeStats, PodStats } from '../../stats/summary-types.js';

/** A heading and its rows. */
export interface UsageTable {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface PodUsageOptions {
  /** With the namespace of each pod. */
  readonly namespaces: boolean;
  /** A row for each container instead of each pod. */
  readonly containers: boolean;
  /** The largest first; without it as they come. */
  readonly sortBy?: 'cpu' | 'memory' | undefined;
  /** Two more rows below: a line, and what all use together. */
  readonly sum: boolean;
}

/** CPU is billionths of a core, memory the working set in bytes; undefined before the first two looks. */
interface Used {
  readonly cpu: number | undefined;
  readonly memory: number | undefined;
}

interface UsedRow {
  readonly words: readonly string[];
  readonly used: Used;
}

const headings = { cpu: 'CPU(cores)', memory: 'MEMORY(bytes)' };

/** What pods use, or their containers, as `kubectl top pods` has it: a pod is what its containers use. */
export function podUsageTable(pods: readonly PodStats[], options: PodUsageOptions): UsageTable {
  const { namespaces, containers, sortBy, sum } = options;
  const first = namespaces ? ['NAMESPACE'] : [];
  const all = pods.flatMap((pod): UsedRow[] => {
    const { name, namespace } = pod.podRef;
    const words = [...(namespaces ? [namespace] : []), name];
    return containers
      ? pod.containers.map((each) => ({ words: [...words, each.name], used: usedBy(each) }))
      : [{ words, used: together(pod.containers.map(usedBy)) }];
  });
  const sorted = sortBy === undefined ? all : all.toSorted((a, b) => (b.used[sortBy] ?? 0) - (a.used[sortBy] ?? 0));
  const rows = sorted.map(({ words, used }) => [...words, cpuText(used.cpu), memoryText(used.memory)]);
  const header = [...first, ...(containers ? ['POD', 'NAME'] : ['NAME']), headings.cpu, headings.memory];
  if (!sum) return { header, rows };
  const empty = header.slice(0, -2).map(() => '');
  const { cpu, memory } = together(all.map(({ used }) => used));
  return {
    header,
    rows: [...rows, [...empty, '________', '________'], [...empty, cpuText(cpu), memoryText(memory)]],
  };
}

/** What the node uses, and how much that is of what its pods may use. */
export function nodeUsageTable(node: NodeStats, allocatable: Readonly<Record<string, string>>): UsageTable {
  const { cpu, memory } = usedBy(node);
  const share = (used: number | undefined, name: string): string => {
    const amount = quantityMilliValue(allocatable[name] ?? '0');
    return used === undefined || amount === 0 ? unknown : `${Math.floor((used / amount) * 100)}%`;
  };
  return {
    header: ['NAME', headings.cpu, 'CPU(%)', headings.memory, 'MEMORY(%)'],
    rows: [
      [
        node.nodeName,
        cpuText(cpu),
        share(cpu === undefined ? undefined : cpu / 1e6, 'cpu'),
        memoryText(memory),
        share(memory === undefined ? undefined : memory * 1000, 'memory'),
      ],
    ],
  };
}

const unknown = '<unknown>';
const cpuText = (nanoCores: number | undefined): string =>
  nanoCores === undefined ? unknown : `${Math.ceil(nanoCores / 1e6)}m`;
const memoryText = (bytes: number | undefined): string =>
  bytes === undefined ? unknown : `${Math.floor(bytes / 1024 ** 2)}Mi`;

const usedBy = ({ cpu, memory }: Pick<ContainerStats, 'cpu' | 'memory'>): Used => ({
  cpu: cpu?.usageNanoCores,
  memory: memory?.workingSetBytes,
});

/** Of those that are known; unknown only where all are. */
function together(all: readonly Used[]): Used {
  const sum = (key: keyof Used): number | undefined =>
    all.map((used) => used[key]).reduce((a, b) => (a === undefined ? b : a + (b ?? 0)), undefined);
  return { cpu: sum('cpu'), memory: sum('memory') };
}
