import type { Node } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';

/** The cluster's newest object of this node, for decisions that cannot wait. */
export class KnownNode implements Disposable {
  readonly #nodeName: string;
  readonly #controlPlane: Pick<ControlPlane, 'get' | 'watch'>;
  readonly #stop = new AbortController();
  readonly #watch: Disposable;
  #current: Node | undefined;

  constructor(nodeName: string, controlPlane: Pick<ControlPlane, 'get' | 'watch'>) {
    this.#nodeName = nodeName;
    this.#controlPlane = controlPlane;
    this.#watch = controlPlane.watch('Node', '', nodeName, () => this.#read());
    this.#read();
  }

  /** The last known one after the object was deleted: what it said of the node still counts. Undefined without a cluster. */
  get current(): Node | undefined {
    return this.#current;
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    this.#watch[Symbol.dispose]();
  }

  #read(): void {
    this.#controlPlane
      .get('Node', '', this.#nodeName, this.#stop.signal)
      .then((node) => (this.#current = node ?? this.#current))
      // It is read again at the next change; the last one counts until then.
      .catch(() => {});
  }
}
