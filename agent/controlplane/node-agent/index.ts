/** Keeps the node object, its status and its lease. */
export { clusterProblems } from './cluster-problems.js';
export { BasicNodeStatus, type BasicNodeStatusDeps } from './basic-node-status.js';
export { NodeAgent, type NodeAgentDeps, type NodeAgentOptions } from './node-agent.js';
export { conditionEvents } from './node-events.js';
export type { NodeStatusSource } from './node-status-source.js';
export { openNodeAgent, type OpenNodeAgentDeps } from './open-node-agent.js';
