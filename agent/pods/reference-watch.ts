import { allContainers, type Pod, type PodUid } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';

export interface ReferenceWatchDeps {
  readonly controlPlane: Pick<ControlPlane, 'watch'>;
  /** An object that a failed start refers to changed. */
  changed(uid: PodUid): void;
}

type Reference = readonly ['ConfigMap' | 'Secret', string];

/**
 * Watches what the environment and the pull secrets of a pod refer to, while one of its starts has failed: what was missing may come, and
 * the pod should not wait out its back-off then. A pod at rest is not watched; volumes watch their own.
 */
export class ReferenceWatch implements Disposable {
  readonly #deps: ReferenceWatchDeps;
  readonly #watches = new Map<PodUid, Disposable[]>();

  constructor(deps: ReferenceWatchDeps) {
    this.#deps = deps;
  }

  /** A start failed: what it refers to matters now. */
  failed(uid: PodUid, pod: Pod): void {
    if (this.#watches.has(uid)) return;
    const namespace = pod.metadata?.namespace ?? 'default';
    const watches = references(pod).map(([kind, name]) =>
      this.#deps.controlPlane.watch(kind, namespace, name, () => this.#deps.changed(uid)),
    );
    this.#watches.set(uid, watches);
  }

  /** The start succeeded, or the pod is gone. */
  release(uid: PodUid): void {
    for (const watch of this.#watches.get(uid) ?? []) watch[Symbol.dispose]();
    this.#watches.delete(uid);
  }

  [Symbol.dispose](): void {
    for (const uid of this.#watches.keys()) this.release(uid);
  }
}

/** ConfigMaps and Secrets in environments and pull secrets, each once. */
function references(pod: Pod): Reference[] {
  const found = new Map<string, Reference>();
  const add = (kind: Reference[0], name: string | undefined): void => {
    if (name) found.set(`${kind}/${name}`, [kind, name]);
  };
  for (const { container } of allContainers(pod)) {
    for (const { configMapRef, secretRef } of container.envFrom ?? []) {
      add('ConfigMap', configMapRef?.name);
      add('Secret', secretRef?.name);
    }
    for (const { valueFrom } of container.env ?? []) {
      add('ConfigMap', valueFrom?.configMapKeyRef?.name);
      add('Secret', valueFrom?.secretKeyRef?.name);
    }
  }
  for (const { name } of pod.spec?.imagePullSecrets ?? []) add('Secret', name);
  return [...found.values()];
}
