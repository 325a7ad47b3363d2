export {
  decideEviction,
  freshMemory,
  type EvictionDecision,
  type EvictionInput,
  type EvictionMemory,
  type NodeReclaim,
} from './decide-eviction.js';
export { EvictionManager, type EvictionDeps, type EvictionOptions, type NodeLook } from './eviction-manager.js';
export { EvictionPods, type EvictionPod } from './eviction-pod.js';
export { OomWatch, type OomReport } from './oom-watch.js';
export { pressureWhatIf, type WhatIfInput } from './pressure-what-if.js';
export {
  observeSignals,
  type EvictionSignal,
  type Observation,
  type Observations,
  type PressureCondition,
} from './signals.js';
export {
  defaultHardThresholds,
  EvictionConfigError,
  evictionReserve,
  parseThresholds,
  type EvictionSettings,
  type Threshold,
} from './thresholds.js';
