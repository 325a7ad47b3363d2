import type { ControlPlane } from '../../controlplane/control-plane.js';

/** Hears of changes of a set of claims, each by `namespace/name`. */
export class ClaimWatches implements Disposable {
  readonly #objects: Pick<ControlPlane, 'watch'>;
  readonly #changed: () => void;
  readonly #watches = new Map<string, Disposable>();

  constructor(objects: Pick<ControlPlane, 'watch'>, changed: () => void) {
    this.#objects = objects;
    this.#changed = changed;
  }

  /** These, and no others. */
  follow(claims: ReadonlySet<string>): void {
    for (const [claim, watch] of this.#watches) {
      if (claims.has(claim)) continue;
      watch[Symbol.dispose]();
      this.#watches.delete(claim);
    }
    for (const claim of claims) {
      if (this.#watches.has(claim)) continue;
      const [namespace = '', name = ''] = claim.split('/');
      this.#watches.set(claim, this.#objects.watch('PersistentVolumeClaim', namespace, name, this.#changed));
    }
  }

  [Symbol.dispose](): void {
    this.follow(new Set());
  }
}
