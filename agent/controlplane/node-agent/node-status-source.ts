import type { NodeStatus } from '../../api/index.js';

/** What is true of the machine, as the node object tells it. */
export interface NodeStatusSource {
  /**
   * The node's part of the status now. `previous` is what the control plane has: times of conditions that did not change are
   * taken from there. `lastHeartbeatTime` is set by whoever writes it.
   */
  read(previous: NodeStatus | undefined, signal: AbortSignal): Promise<NodeStatus>;
  /** Something changed that must not wait for the next round: a condition, a resource of a device plugin. */
  onChange(listener: () => void): Disposable;
}
