import { FifoLimit } from '../../base/fifo-limit.js';
import type { CsiDriverInfo } from '../../csi/index.js';
import type { CSINode, CSINodeDriver } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';

export interface CsiNodesDeps {
  readonly controlPlane: Pick<ControlPlane, 'get' | 'writeCsiNode'>;
}

/** The CSINode object of this node: one entry per driver, written before the driver is told that it is registered. */
export class CsiNodes {
  readonly #nodeName: string;
  readonly #deps: CsiNodesDeps;
  /** Read, change, write: one at a time. */
  readonly #writes = new FifoLimit(1);

  constructor(nodeName: string, deps: CsiNodesDeps) {
    this.#nodeName = nodeName;
    this.#deps = deps;
  }

  async announce(driver: CsiDriverInfo, signal: AbortSignal): Promise<void> {
    const entry = entryOf(driver);
    if (entry) await this.#change(driver.name, entry, signal);
  }

  async withdraw(name: string, signal: AbortSignal): Promise<void> {
    await this.#change(name, undefined, signal);
  }

  async #change(name: string, entry: CSINodeDriver | undefined, signal: AbortSignal): Promise<void> {
    const { controlPlane } = this.#deps;
    const write = async (): Promise<void> => {
      const current = await controlPlane.get('CSINode', '', this.#nodeName, signal);
      const before = current?.spec.drivers ?? [];
      const others = before.filter((driver) => driver.name !== name);
      if (!entry && others.length === before.length) return;
      const drivers = entry ? [...others, entry] : others;
      const node = await controlPlane.get('Node', '', this.#nodeName, signal);
      await controlPlane.writeCsiNode(csiNode(this.#nodeName, node?.metadata?.uid, current, drivers), signal);
    };
    await this.#writes.run(write, signal);
  }
}

function csiNode(
  name: string,
  nodeUid: string | undefined,
  current: CSINode | undefined,
  drivers: readonly CSINodeDriver[],
): CSINode {
  const owner = { apiVersion: 'v1', kind: 'Node', name, uid: nodeUid ?? '' };
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSINode',
    metadata: { ...current?.metadata, name, ...(nodeUid !== undefined && { ownerReferences: [owner] }) },
    spec: { drivers: [...drivers] },
  };
}

function entryOf({ name, state }: CsiDriverInfo): CSINodeDriver | undefined {
  if (state.kind !== 'ready') return undefined;
  const { nodeId, maxVolumes, topology } = state.node;
  return {
    name,
    nodeID: nodeId,
    topologyKeys: Object.keys(topology).sort(),
    ...(maxVolumes !== undefined && { allocatable: { count: maxVolumes } }),
  };
}

export interface CsiNodeMarks {
  /** `csi.volume.kubernetes.io/nodeid`: node ids by driver, as JSON. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Topology of all drivers. */
  readonly labels: Readonly<Record<string, string>>;
}

/** What the drivers want on the Node object. */
export function csiNodeMarks(drivers: readonly CsiDriverInfo[]): CsiNodeMarks {
  const ready = drivers.flatMap(({ name, state }) => (state.kind === 'ready' ? [{ name, ...state.node }] : []));
  if (ready.length === 0) return { annotations: {}, labels: {} };
  const ids = Object.fromEntries(ready.map(({ name, nodeId }) => [name, nodeId]));
  return {
    annotations: { 'csi.volume.kubernetes.io/nodeid': JSON.stringify(ids) },
    labels: Object.assign({}, ...ready.map(({ topology }) => topology)) as Record<string, string>,
  };
}
