import type { NodeIdentity, PersistentVolume, PersistentVolumeClaim, Pod, PodUid, Volume } from '../../api/index.js';
import { matchesNodeSelector, podUidOf } from '../../api/index.js';
import type { ReadableKind, ReadableObjects } from '../../controlplane/control-plane.js';
import { errorText } from '../../../base/errors.js';
import { VolumeProblem } from '../volume-error.js';
import type { VolumeOrigin } from '../volume-plugin.js';
import type { WantedVolume } from '../wanted-volumes.js';

/** Reads an object for a pod, which from then on is told of its changes. */
export type ReadForPod = <K extends ReadableKind>(
  uid: PodUid,
  kind: K,
  namespace: string,
  name: string,
  signal: AbortSignal,
) => Promise<ReadableObjects[K] | undefined>;

/** A claim with its volume. */
export interface BoundClaim {
  readonly persistentVolume: PersistentVolume;
  /** As whoever binds knows it. */
  readonly claim: PersistentVolumeClaim;
}

/** Finds the volume of a claim. */
export interface ClaimBinder {
  /** Throws `VolumeProblem` while there is no volume. */
  bound(pod: Pod, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<BoundClaim>;
  /** The claim of a generic ephemeral volume, where nobody else makes it. */
  ephemeralClaim?(pod: Pod, volume: Volume, signal: AbortSignal): Promise<PersistentVolumeClaim>;
}

export interface ClaimResolverDeps {
  readonly read: ReadForPod;
  readonly binder: ClaimBinder;
  node(signal: AbortSignal): Promise<NodeIdentity>;
}

/** What stands behind a volume of a pod: itself, or the PersistentVolume of its claim. */
export class ClaimResolver {
  readonly #deps: ClaimResolverDeps;
  /** Claims whose volume is being found or made; by the volume of the pod. */
  readonly #inBinding = new Map<string, PersistentVolumeClaim>();

  constructor(deps: ClaimResolverDeps) {
    this.#deps = deps;
  }

  async origin(pod: Pod, { volume, mounted, block }: WantedVolume, signal: AbortSignal): Promise<VolumeOrigin> {
    if (!volume.persistentVolumeClaim && !volume.ephemeral) return { kind: 'inline', volume };
    const name = volume.persistentVolumeClaim?.claimName ?? `${pod.metadata?.name ?? ''}-${volume.name}`;
    const place = `${pod.metadata?.namespace ?? 'default'}/${name}`;
    try {
      const asked = await this.#claim(pod, volume, name, signal);
      if (volume.ephemeral) checkOwner(pod, asked, place);
      const { persistentVolume, claim } = await this.#bound(pod, volume, asked, signal);
      checkMode(volume.name, persistentVolume, mounted, block);
      await this.#checkNode(persistentVolume, signal);
      return { kind: 'persistent', volume, persistentVolume, claim };
    } catch (err) {
      signal.throwIfAborted();
      const code = err instanceof VolumeProblem ? err.failure.code : 'unavailable';
      throw new VolumeProblem(code, `error processing PVC ${place}: ${errorText(err)}`, err);
    }
  }

  /** The claim whose volume is being found or made for this volume of the pod now. */
  inBinding(uid: PodUid, volume: string): PersistentVolumeClaim | undefined {
    return this.#inBinding.get(`${uid} ${volume}`);
  }

  async #bound(pod: Pod, { name }: Volume, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<BoundClaim> {
    const key = `${podUidOf(pod)} ${name}`;
    this.#inBinding.set(key, claim);
    try {
      return await this.#deps.binder.bound(pod, claim, signal);
    } finally {
      this.#inBinding.delete(key);
    }
  }

  async #claim(pod: Pod, volume: Volume, name: string, signal: AbortSignal): Promise<PersistentVolumeClaim> {
    const namespace = pod.metadata?.namespace ?? 'default';
    const claim = await this.#deps.read(podUidOf(pod), 'PersistentVolumeClaim', namespace, name, signal);
    if (!claim && volume.ephemeral && this.#deps.binder.ephemeralClaim)
      return await this.#deps.binder.ephemeralClaim(pod, volume, signal);
    if (!claim) throw new VolumeProblem('not-found', `persistentvolumeclaim "${name}" not found`);
    const { deletionTimestamp, finalizers = [] } = claim.metadata ?? {};
    if (deletionTimestamp !== undefined && !finalizers.includes('kubernetes.io/pvc-protection'))
      throw new VolumeProblem('refused', 'PVC is being deleted');
    return claim;
  }

  async #checkNode({ spec }: PersistentVolume, signal: AbortSignal): Promise<void> {
    const selector = spec?.nodeAffinity?.required;
    if (selector && !matchesNodeSelector(selector, await this.#deps.node(signal)))
      throw new VolumeProblem('refused', 'the volume cannot be used on this node: no matching NodeSelectorTerms');
  }
}

/** The API server's control plane binds: the agent only believes what both sides say. */
export function clusterBinder(read: ReadForPod): ClaimBinder {
  return {
    async bound(pod, claim, signal) {
      if (claim.status?.phase !== 'Bound') throw new VolumeProblem('unavailable', 'PVC is not bound');
      const name = claim.spec?.volumeName ?? '';
      if (name === '') throw new VolumeProblem('unavailable', 'PVC has empty pvc.Spec.VolumeName');
      const found = await read(podUidOf(pod), 'PersistentVolume', '', name, signal);
      if (!found) throw new VolumeProblem('not-found', `persistentvolume "${name}" not found`);
      const { claimRef } = found.spec ?? {};
      if (!claimRef)
        throw new VolumeProblem(
          'unavailable',
          `found PV object ${name} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim`,
        );
      if (claimRef.uid !== claim.metadata?.uid)
        throw new VolumeProblem(
          'refused',
          `found PV object ${name} but its pv.Spec.ClaimRef.UID ${claimRef.uid ?? ''} does not point to claim.UID ${claim.metadata?.uid ?? ''}`,
        );
      return { persistentVolume: found, claim };
    },
  };
}

function checkOwner(pod: Pod, claim: PersistentVolumeClaim, place: string): void {
  const owned = claim.metadata?.ownerReferences?.some(
    (owner) => owner.controller === true && owner.kind === 'Pod' && owner.uid === pod.metadata?.uid,
  );
  if (owned) return;
  const { namespace = 'default', name = '' } = pod.metadata ?? {};
  throw new VolumeProblem('refused', `PVC ${place} was not created for pod ${namespace}/${name} (pod is not owner)`);
}

function checkMode(volume: string, { spec }: PersistentVolume, mounted: boolean, block: boolean): void {
  const mode = spec?.volumeMode ?? 'Filesystem';
  if (mounted && mode !== 'Filesystem')
    throw new VolumeProblem('refused', `volume ${volume} has volumeMode ${mode}, but is specified in volumeMounts`);
  if (block && mode !== 'Block')
    throw new VolumeProblem('refused', `volume ${volume} has volumeMode ${mode}, but is specified in volumeDevices`);
}
