import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { isStaticPod, type KubeObject, type Pod, type PodSourceName } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import { mergeSources, type ManifestReport, type PodSource, type SourceSnapshot } from '../sources/index.js';

export interface PodSourcesDeps {
  readonly log: Logger;
  readonly controlPlane: Pick<ControlPlane, 'watchPods' | 'setStaticPods'>;
  readonly manifests: readonly PodSource[];
  /** The newest merged set. */
  merged(pods: readonly Pod[], synced: boolean): void;
  /** Objects of other kinds that manifests hold; `complete` once every manifest source has delivered. */
  objects(objects: readonly KubeObject[], complete: boolean): void;
  /** A pod that was left out. */
  ignored(pod: Pod, message: string): void;
}

/** Runs all pod sources and joins what they deliver. Once all have delivered, absence of a pod means that it must go. */
export class PodSources implements AsyncDisposable {
  readonly #deps: PodSourcesDeps;
  readonly #stop = new AbortController();
  readonly #latest = new Map<PodSourceName, SourceSnapshot>();
  readonly #running: Promise<void>[] = [];
  #watch: Disposable | undefined;
  #synced = false;
  /** False while the control plane only tells what it last knew: then, that a pod is missing means nothing. */
  #current = false;

  constructor(deps: PodSourcesDeps) {
    this.#deps = deps;
  }

  get synced(): boolean {
    return this.#synced;
  }

  get reports(): readonly ManifestReport[] {
    return this.#deps.manifests.flatMap((source) => source.reports);
  }

  start(): void {
    for (const source of this.#deps.manifests) {
      const run = source
        .run((snapshot) => this.#deliver(snapshot), this.#stop.signal)
        .catch((err: unknown) => {
          if (!this.#stop.signal.aborted)
            this.#deps.log.error({ source: source.name, err: errorText(err) }, 'pod source ended');
        });
      this.#running.push(run);
    }
    this.#watch = this.#deps.controlPlane.watchPods(({ pods, synced }) => {
      this.#current = synced;
      if (synced || pods.length > 0) this.#deliver({ source: 'api', pods, objects: [] });
    });
  }

  /** Looks at the manifests again now. */
  wake(): void {
    for (const source of this.#deps.manifests) source.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    this.#watch?.[Symbol.dispose]();
    await Promise.all(this.#running);
  }

  #deliver(snapshot: SourceSnapshot): void {
    this.#latest.set(snapshot.source, snapshot);
    const configured: PodSourceName[] = [...this.#deps.manifests.map((source) => source.name), 'api'];
    const { pods, objects, allSynced, ignored } = mergeSources(configured, this.#latest);
    this.#synced = allSynced && this.#current;
    for (const { pod, message } of ignored) this.#deps.ignored(pod, message);
    const complete = this.#deps.manifests.every(
      ({ name }) => this.#latest.has(name) && !this.#latest.get(name)?.partial,
    );
    this.#deps.objects(objects, complete);
    if (complete) this.#deps.controlPlane.setStaticPods(pods.filter(isStaticPod));
    this.#deps.merged(pods, this.#synced);
  }
}
