import { FifoLimit } from '../../../base/fifo-limit.js';
import type { CsiDriverInfo } from '../../../csi/index.js';
import type { CSINode, CSINodeDriver } from '../../api/index.js';
import type { ControlPlane } from '../../controlplane/control-plane.js';

export interface CsiNodesDeps {
  readonly controlPlane: Pick<ControlPlane, 'get' | 'writeCsiNode' | 'markNode'>;
}

const nodeIdAnnotation = 'csi.volume.kubernetes.io/nodeid';

/**
 * What drivers want known of this node, written before they are told that they are registered: the CSINode object with one entry per
 * driver, and on the Node their ids and topology.
 */
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
    if (!entry || driver.state.kind !== 'ready') return;
    const { topology } = driver.state.node;
    await this.#writes.run(() => this.#mark(driver.name, entry.nodeID, topology, signal), signal);
    await this.#change(driver.name, entry, signal);
  }

  /** The topology stays: volumes of the driver may still name it. */
  async withdraw(name: string, signal: AbortSignal): Promise<void> {
    await this.#change(name, undefined, signal);
    await this.#writes.run(() => this.#mark(name, undefined, {}, signal), signal);
  }

  /** A label that somebody set to another value stays, and the driver is refused: volumes would be made for the wrong place. */
  async #mark(
    driver: string,
    nodeId: string | undefined,
    topology: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    const { controlPlane } = this.#deps;
    const node = await controlPlane.get('Node', '', this.#nodeName, signal);
    const { labels = {}, annotations = {} } = node?.metadata ?? {};
    for (const [key, value] of Object.entries(topology)) {
      const existing = labels[key];
      if (existing !== undefined && existing !== value)
        throw new Error(
          `detected topology value collision: driver reported "${key}":"${value}" but existing label is "${key}":"${existing}"`,
        );
    }
    const { [driver]: before, ...others } = nodeIdsOf(annotations[nodeIdAnnotation]);
    if (before === nodeId && Object.keys(topology).every((key) => key in labels)) return;
    const ids = nodeId === undefined ? others : { ...others, [driver]: nodeId };
    const text = Object.keys(ids).length === 0 ? null : JSON.stringify(ids);
    await controlPlane.markNode({ labels: topology, annotations: { [nodeIdAnnotation]: text } }, signal);
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

function nodeIdsOf(text: string | undefined): Readonly<Record<string, string>> {
  try {
    const ids: unknown = JSON.parse(text ?? '{}');
    return typeof ids === 'object' && ids !== null && !Array.isArray(ids) ? (ids as Record<string, string>) : {};
  } catch {
    // What nobody can read is written anew.
    return {};
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
