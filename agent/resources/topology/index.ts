export { CpuError, CpuManager, exclusiveCpus, type CpuManagerOptions, type CpuManagerState } from './cpu-manager.js';
export { formatCpuSet, parseCpuSet } from './cpu-set.js';
export type { HintProvider, ResourceHints, TopologyHint } from './hints.js';
export { KubeletCheckpoint, type CheckpointRead } from './kubelet-checkpoint.js';
export { readMachineTopology, type Cpu, type MachineTopology, type NumaNode } from './machine-topology.js';
export { MemoryError, MemoryManager, type MemoryBlock, type MemoryManagerState } from './memory-manager.js';
export { mergeHints, type MergedHint, type MergeOptions, type TopologyPolicy } from './merge-hints.js';
export { TopologyError, TopologyManager, type TopologyManagerOptions } from './topology-manager.js';
