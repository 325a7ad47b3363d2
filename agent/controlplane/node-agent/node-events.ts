import type { Node, NodeStatus } from '../../api/index.js';

export interface NodeEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** The kubelet's words for a condition that is True, and for one that is not. */
const words: Readonly<Record<string, readonly [string, string]>> = {
  MemoryPressure: ['NodeHasInsufficientMemory', 'NodeHasSufficientMemory'],
  DiskPressure: ['NodeHasDiskPressure', 'NodeHasNoDiskPressure'],
  PIDPressure: ['NodeHasInsufficientPID', 'NodeHasSufficientPID'],
  Ready: ['NodeReady', 'NodeNotReady'],
};

/** What is worth telling about conditions that changed; all of them where none was told before. */
export function conditionEvents(name: string, before: NodeStatus | undefined, after: NodeStatus): NodeEvent[] {
  const told = new Map((before?.conditions ?? []).map(({ type, status }) => [type, status]));
  return (after.conditions ?? []).flatMap(({ type, status }): NodeEvent[] => {
    const pair = words[type];
    if (!pair || told.get(type) === status) return [];
    const reason = status === 'True' ? pair[0] : pair[1];
    return [{ type: 'Normal', reason, message: `Node ${name} status is now: ${reason}` }];
  });
}

/** A machine that has another boot id than the one the cluster knows was started anew. */
export function rebootEvent(name: string, known: Node | undefined, bootId: string | undefined): NodeEvent[] {
  const before = known?.status?.nodeInfo?.bootID ?? '';
  if (before === '' || bootId === undefined || bootId === before) return [];
  return [{ type: 'Warning', reason: 'Rebooted', message: `Node ${name} has been rebooted, boot id: ${bootId}` }];
}

/** Someone cordoned the node, or lifted that. */
export function cordonEvent(name: string, before: boolean | undefined, after: boolean): NodeEvent[] {
  if (before === undefined || before === after) return [];
  const reason = after ? 'NodeNotSchedulable' : 'NodeSchedulable';
  return [{ type: 'Normal', reason, message: `Node ${name} status is now: ${reason}` }];
}
