import { StateFile } from '../../../base/atomic-file.js';
import { FifoLimit, KeyedLock } from '../../../base/fifo-limit.js';
import { namePath } from '../../../base/name-path.js';
import type { Logger } from '../../../base/log.js';
import {
  compareQuantities,
  podUidOf,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  type Quantity,
  type Volume,
} from '../../api/index.js';
import { errorText } from '../../../base/errors.js';
import type { ClaimGrowth, ControlPlane } from '../../controlplane/control-plane.js';
import type { EventType } from '../../events/event-recorder.js';
import type { FaultPoint } from '../../fault-point.js';
import { VolumeProblem } from '../volume-error.js';
import { ClaimWatches } from './claim-watches.js';
import type { BoundClaim, ClaimBinder, ReadForPod } from './claim-resolver.js';
import { isReservedFor, matchVolume } from './match-volume.js';

/** Who makes volumes on demand. */
export interface LocalProvisioner {
  /** Undefined for a claim whose class nobody makes volumes for. The same claim twice gives the same volume. */
  create(claim: PersistentVolumeClaim, signal: AbortSignal): Promise<PersistentVolume | undefined>;
  delete(volume: PersistentVolume, signal: AbortSignal): Promise<void>;
  /** What the volume is after it grew to what the claim asks for; undefined where its class does not let it grow. */
  grow(volume: PersistentVolume, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<GrownVolume | undefined>;
}

export interface GrownVolume {
  readonly volume: PersistentVolume;
  /** Its file system or device on the node has not grown yet. */
  readonly nodeMustGrow: boolean;
}

/** What is to be deleted because nobody wants it any more. */
export interface Reclaim {
  readonly podIsGone: (uid: string) => boolean;
  /** Looks at this volume, which was bound for a claim or for one pod alone. */
  readonly concerns: (volume: string, podUid: string | undefined) => boolean;
  readonly isUsed: (volume: string) => Promise<boolean>;
}

interface Binding {
  /** `namespace/name` of the claim, and its uid when it was bound. */
  readonly claim: string;
  readonly claimUid: string;
  readonly volume: string;
  /** Set for a volume that was made for the claim: nobody else keeps the object. */
  readonly made?: PersistentVolume | undefined;
  /** Set for the claim of a generic ephemeral volume: it ends with this pod. */
  readonly podUid?: string | undefined;
  /** What its file system has, where the volume itself may have more. */
  readonly size?: Quantity | undefined;
  /** What a volume that somebody else keeps the object of has been grown to. */
  readonly grownTo?: Quantity | undefined;
}

export interface LocalBinderDeps {
  readonly objects: Pick<ControlPlane, 'get' | 'list' | 'watch'>;
  readonly read: ReadForPod;
  readonly log: Logger;
  readonly provisioner?: LocalProvisioner | undefined;
  readonly at?: FaultPoint | undefined;
  event(pod: Pod, type: EventType, reason: string, message: string): void;
  /** A claim changed for which a volume was made that is deleted with it: time to `reclaim`. */
  claimChanged(): void;
}

/**
 * Binds claims to volumes on a machine without a cluster, once and for good: what is bound is on disk before it is used, so that a claim
 * keeps its data over every restart.
 */
export class LocalBinder implements ClaimBinder, Disposable {
  readonly #deps: LocalBinderDeps;
  readonly #file: StateFile<readonly Binding[]>;
  #bindings: ReadonlyMap<string, Binding>;
  /** One claim at a time, by `namespace/name`: a driver that hangs holds up the claims it is asked for, and no others. */
  readonly #claims = new KeyedLock();
  /** Held while it is decided who gets what, and written down; never while a driver is asked. */
  readonly #deciding = new FifoLimit(1);
  /** What is decided is written down, whoever gives up. */
  readonly #never = new AbortController().signal;
  readonly #watches: ClaimWatches;

  private constructor(deps: LocalBinderDeps, file: StateFile<readonly Binding[]>, bindings: readonly Binding[]) {
    this.#deps = deps;
    this.#file = file;
    this.#bindings = new Map(bindings.map((binding) => [idOf(binding), binding]));
    this.#watches = new ClaimWatches(deps.objects, () => deps.claimChanged());
    this.#follow();
  }

  static async open(path: string, deps: LocalBinderDeps): Promise<LocalBinder> {
    const file = new StateFile<readonly Binding[]>(path, 1, parseBindings);
    const read = await file.read();
    if (read.kind === 'set-aside')
      deps.log.error(
        { reason: read.reason, movedTo: read.movedTo },
        'volume bindings cannot be read and were set aside',
      );
    return new LocalBinder(deps, file, read.kind === 'read' ? read.data : []);
  }

  async bound(pod: Pod, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<BoundClaim> {
    return await this.#claims.run(namesOf(claim).claim, () => this.#bind(pod, claim, signal), signal);
  }

  /** The size is kept here: nobody else writes the claim's status. */
  async growth(claim: PersistentVolumeClaim, growth: ClaimGrowth, signal: AbortSignal): Promise<void> {
    if (growth.state !== 'grown') return;
    const names = namesOf(claim);
    await this.#claims.run(
      names.claim,
      async () => {
        const binding = this.#bindings.get(idOf(names));
        if (binding) await this.#keep({ ...binding, size: growth.capacity });
      },
      signal,
    );
  }

  /** Nobody else makes it here, so it exists by being asked for. */
  ephemeralClaim(pod: Pod, volume: Volume): Promise<PersistentVolumeClaim> {
    const { name = '', namespace = 'default', uid = '' } = pod.metadata ?? {};
    const template = volume.ephemeral?.volumeClaimTemplate;
    return Promise.resolve({
      metadata: {
        ...template?.metadata,
        name: `${name}-${volume.name}`,
        namespace,
        uid: `${uid}-${volume.name}`,
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid, controller: true, blockOwnerDeletion: true }],
      },
      spec: template?.spec,
    });
  }

  /**
   * Deletes volumes that were made for a claim that is gone, where their class says so, and frees what ephemeral volumes were bound to.
   * Volumes that somebody else made are never deleted, and neither are those of a claim that stood in a manifest: a file that is away for a
   * moment must not cost anybody's data.
   */
  async reclaim({ podIsGone, concerns, isUsed }: Reclaim, signal: AbortSignal): Promise<void> {
    const over: (readonly [string, Binding])[] = [];
    for (const [key, binding] of this.#bindings)
      if (concerns(binding.volume, binding.podUid) && (await this.#isOver(binding, podIsGone, signal)))
        over.push([key, binding]);
    // One that cannot be deleted now does not keep the others.
    const results = await Promise.allSettled(
      over.map(([key, binding]) =>
        this.#claims.run(
          binding.claim,
          async () => {
            if (this.#bindings.get(key) !== binding || !(await this.#isOver(binding, podIsGone, signal))) return;
            if (await isUsed(binding.volume)) return;
            if (binding.made) await this.#deps.provisioner?.delete(binding.made, signal);
            await this.#deciding.run(
              () => this.#write([...this.#bindings].filter(([other]) => other !== key)),
              this.#never,
            );
          },
          signal,
        ),
      ),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  [Symbol.dispose](): void {
    this.#watches[Symbol.dispose]();
  }

  #follow(): void {
    this.#watches.follow(new Set([...this.#bindings.values()].filter(endsWithClaim).map(({ claim }) => claim)));
  }

  async #isOver(binding: Binding, podIsGone: (uid: string) => boolean, signal: AbortSignal): Promise<boolean> {
    if (binding.made && binding.made.spec?.persistentVolumeReclaimPolicy !== 'Delete') return false;
    if (binding.podUid !== undefined) return podIsGone(binding.podUid);
    if (!binding.made || binding.claimUid === '') return false;
    const [namespace = '', name = ''] = binding.claim.split('/');
    const claim = await this.#deps.objects.get('PersistentVolumeClaim', namespace, name, signal);
    return claim?.metadata?.uid !== binding.claimUid;
  }

  async #bind(pod: Pod, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<BoundClaim> {
    const { claim: key, claimUid } = namesOf(claim);
    const before = this.#bindings.get(idOf({ claim: key, claimUid }));
    if (before) {
      const volume = await this.#bindingVolume(pod, before, signal);
      const binding = await this.#grownVolume(pod, before, volume, claim, signal);
      return boundClaim(withCapacity(binding.made ?? volume, binding.grownTo), claim, binding.size);
    }
    const bindingTo = (volume: PersistentVolume, made?: PersistentVolume): Binding => ({
      ...{ claim: key, claimUid, volume: volume.metadata?.name ?? '', made },
      podUid: claim.metadata?.ownerReferences?.find(({ kind }) => kind === 'Pod')?.uid,
      size: volume.spec?.capacity?.['storage'],
    });
    let binding = await this.#bindExisting(claim, key, bindingTo, signal);
    if (!binding && !claim.spec?.volumeName) {
      const made = await this.#deps.provisioner?.create(claim, signal);
      binding = made && bindingTo(made, made);
      if (binding) await this.#keep(binding, replacedBy(binding));
    }
    if (!binding) throw new VolumeProblem('unavailable', unboundReason(claim));
    await this.#deps.at?.('volume-bound');
    // Read once more, so that the pod hears of its changes.
    return boundClaim(await this.#bindingVolume(pod, binding, signal), claim, binding.size);
  }

  async #bindExisting(
    claim: PersistentVolumeClaim,
    key: string,
    bindingTo: (volume: PersistentVolume) => Binding,
    signal: AbortSignal,
  ): Promise<Binding | undefined> {
    return await this.#deciding.run(async () => {
      const volumes = await this.#deps.objects.list('PersistentVolume', '', signal);
      const found = matchVolume(claim, volumes, (volume) => this.#isTaken(volume, key, claim));
      const binding = found && bindingTo(found);
      if (binding) await this.#writeWith(binding, replacedBy(binding));
      return binding;
    }, signal);
  }

  async #keep(binding: Binding, replaces: (other: Binding) => boolean = () => false): Promise<void> {
    await this.#deciding.run(() => this.#writeWith(binding, replaces), this.#never);
  }

  async #writeWith(binding: Binding, replaces: (other: Binding) => boolean): Promise<void> {
    const id = idOf(binding);
    const others = [...this.#bindings].filter(([other, value]) => other !== id && !replaces(value));
    await this.#write([...others, [id, binding]]);
  }

  /** What could not be written is not taken for written: the next attempt would hand out what a restart knows nothing of. */
  async #write(bindings: readonly (readonly [string, Binding])[]): Promise<void> {
    await this.#file.write(bindings.map(([, binding]) => binding)).catch((err: unknown) => {
      throw namePath(err, this.#file.path);
    });
    this.#bindings = new Map(bindings);
    this.#follow();
  }

  /** A volume grows with its claim where its class lets it. When it cannot, the pod goes on with what there is. */
  async #grownVolume(
    pod: Pod,
    binding: Binding,
    volume: PersistentVolume,
    claim: PersistentVolumeClaim,
    signal: AbortSignal,
  ): Promise<Binding> {
    const has = withCapacity(volume, binding.grownTo).spec?.capacity?.['storage'] ?? '0';
    if (compareQuantities(claim.spec?.resources?.requests?.['storage'] ?? '0', has) <= 0) return binding;
    try {
      const grown = await this.#grow(volume, claim, signal);
      if (!grown) return binding;
      const capacity = grown.volume.spec?.capacity?.['storage'];
      const size = grown.nodeMustGrow ? (binding.size ?? has) : capacity;
      const kept = binding.made ? { ...binding, made: grown.volume, size } : { ...binding, grownTo: capacity, size };
      await this.#keep(kept);
      return kept;
    } catch (err) {
      signal.throwIfAborted();
      const words = `volume ${binding.volume} cannot grow to what the claim asks for: ${errorText(err)}`;
      this.#deps.event(pod, 'Warning', 'VolumeResizeFailed', words);
      return binding;
    }
  }

  /** A FlexVolume driver is asked on the node, with the volume in its hands (`expandvolume`, `expandfs`). */
  async #grow(
    volume: PersistentVolume,
    claim: PersistentVolumeClaim,
    signal: AbortSignal,
  ): Promise<GrownVolume | undefined> {
    if (!volume.spec?.flexVolume) return await this.#deps.provisioner?.grow(volume, claim, signal);
    const className = volume.spec.storageClassName ?? '';
    const storageClass = className && (await this.#deps.objects.get('StorageClass', '', className, signal));
    if (!storageClass || storageClass.allowVolumeExpansion !== true) return undefined;
    return { volume: withCapacity(volume, claim.spec?.resources?.requests?.['storage']), nodeMustGrow: true };
  }

  /** A claim made anew gets its old volume only where the claim or the volume names the other: its data may not be meant for it. */
  #isTaken(volume: PersistentVolume, key: string, claim: PersistentVolumeClaim): boolean {
    const name = volume.metadata?.name ?? '';
    const holder = [...this.#bindings.values()].find((binding) => binding.volume === name);
    if (!holder) return false;
    return holder.claim !== key || !(claim.spec?.volumeName === name || isReservedFor(claim, volume));
  }

  async #bindingVolume(pod: Pod, binding: Binding, signal: AbortSignal): Promise<PersistentVolume> {
    const volume =
      binding.made ?? (await this.#deps.read(podUidOf(pod), 'PersistentVolume', '', binding.volume, signal));
    if (volume) return volume;
    throw new VolumeProblem(
      'not-found',
      `persistentvolume "${binding.volume}", to which the claim is bound, not found`,
    );
  }
}

/** Its volume is deleted when the claim is, not with a pod. */
const endsWithClaim = ({ made, claimUid, podUid }: Binding): boolean =>
  made?.spec?.persistentVolumeReclaimPolicy === 'Delete' && claimUid !== '' && podUid === undefined;

/** What an earlier claim of this name had is the new one's, unless it was made for that claim alone. */
const replacedBy =
  (binding: Binding) =>
  (other: Binding): boolean =>
    other.claim === binding.claim && (!other.made || other.volume === binding.volume);

const idOf = ({ claim, claimUid }: Pick<Binding, 'claim' | 'claimUid'>): string => `${claim} ${claimUid}`;

function namesOf({ metadata }: PersistentVolumeClaim): Pick<Binding, 'claim' | 'claimUid'> {
  const { namespace = 'default', name = '', uid = '' } = metadata ?? {};
  return { claim: `${namespace}/${name}`, claimUid: uid };
}

/** Both sides say what a cluster's controllers would write on them. */
function boundClaim(volume: PersistentVolume, claim: PersistentVolumeClaim, size: Quantity | undefined): BoundClaim {
  const { name, namespace, uid } = claim.metadata ?? {};
  const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid };
  const capacity = size === undefined ? volume.spec?.capacity : { storage: size };
  return {
    persistentVolume: { ...volume, spec: { ...volume.spec, claimRef } },
    claim: { ...claim, status: { ...claim.status, phase: 'Bound', capacity } },
  };
}

/** Never less than the object says: whoever keeps it may have made it larger meanwhile. */
function withCapacity(volume: PersistentVolume, storage: Quantity | undefined): PersistentVolume {
  const has = volume.spec?.capacity?.['storage'] ?? '0';
  if (storage === undefined || compareQuantities(storage, has) <= 0) return volume;
  return { ...volume, spec: { ...volume.spec, capacity: { ...volume.spec?.capacity, storage } } };
}

function unboundReason({ spec }: PersistentVolumeClaim): string {
  if (spec?.volumeName)
    return `persistentvolume "${spec.volumeName}" does not exist, is taken, or does not fit the claim`;
  return `PVC is not bound: no persistent volume of storage class "${spec?.storageClassName ?? ''}" is free and fits`;
}

function parseBindings(data: unknown): readonly Binding[] {
  if (!Array.isArray(data)) throw new Error('not a list');
  return data.map((entry: unknown) => {
    const { claim, claimUid, volume, made, podUid, size, grownTo } = entry as Partial<Binding>;
    if (typeof claim !== 'string' || typeof claimUid !== 'string' || typeof volume !== 'string')
      throw new Error('an entry lacks claim, claimUid or volume');
    return { claim, claimUid, volume, made, podUid, size, grownTo };
  });
}
