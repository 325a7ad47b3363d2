import type { Image } from '../../proto/generated/cri-v1.js';
import type { ImageService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { AccessVerdict } from './access-counts.js';
import { fullName, withoutTag } from './image-match.js';
import type { PullCredential } from './keyring.js';
import { accessOf, isSameObject, mergeAccess } from './merge-access.js';
import type { PullRecords, RecordedAccess } from './pull-records.js';

/** Which images on the node a pod may only use with credentials that could pull them (facts 11.5). */
export interface VerificationPolicy {
  readonly policy: 'NeverVerify' | 'NeverVerifyPreloadedImages' | 'NeverVerifyAllowlistedImages' | 'AlwaysVerify';
  /** Names without tag; ends with a slash and a star for all below. */
  readonly allowlist: readonly string[];
}

export interface ImageAccessDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Logger;
  readonly images: ImageService;
  /** Hears of each look at an image that is here. */
  readonly checked?: ((result: AccessVerdict) => void) | undefined;
}

/** From so many recorded secrets on, looking at an image writes nothing any more. */
const mostNoted = 100;
const pruneEveryMs = 5 * 60_000;

/** Decides whether a pod may use an image that is here, and remembers who was let in by a registry. */
export class ImageAccess {
  readonly #policy: VerificationPolicy;
  readonly #records: PullRecords;
  readonly #deps: ImageAccessDeps;
  /** Pulls under way by image: the intent goes with the last. */
  readonly #pulling = new Map<string, number>();
  #prunedAt: number;
  /** One write after another: a record is read, joined and written. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(policy: VerificationPolicy, records: PullRecords, deps: ImageAccessDeps) {
    this.#policy = policy;
    this.#records = records;
    this.#deps = deps;
    this.#prunedAt = deps.clock.now();
  }

  /** Takes up what a kill left: a pull that was under way counts as the agent's own, with nobody's credentials. */
  static async open(
    policy: VerificationPolicy,
    records: PullRecords,
    deps: ImageAccessDeps,
    signal: AbortSignal,
  ): Promise<ImageAccess> {
    const access = new ImageAccess(policy, records, deps);
    if (records.intents.length > 0 || records.all.length > 0) {
      try {
        await access.#takeUp(signal);
      } catch (err) {
        signal.throwIfAborted();
        deps.log.warn({ err: errorText(err) }, 'records of image pulls could not be compared with the images');
      }
    }
    return access;
  }

  /** `credentials` is only asked when what is recorded depends on them. */
  async mustPull(
    image: string,
    imageRef: string,
    credentials: () => Promise<readonly PullCredential[]>,
  ): Promise<boolean> {
    let verdict: AccessVerdict = 'error';
    try {
      verdict = await this.#verdict(image, imageRef, credentials);
      return verdict === 'mustAuthenticate' || verdict === 'error';
    } finally {
      this.#deps.checked?.(verdict);
    }
  }

  async #verdict(
    image: string,
    imageRef: string,
    credentials: () => Promise<readonly PullCredential[]>,
  ): Promise<AccessVerdict> {
    const record = this.#records.pulled(imageRef);
    const isOurs = record !== undefined || this.#records.hasIntent(image);
    if (!this.#mustVerify(image, isOurs)) return 'credentialPolicyAllowed';
    if (record === 'unreadable') return 'error';
    const known = record?.access[withoutTag(image)];
    if (!known) return 'mustAuthenticate';
    if (known.nodePodsAccessible) return 'credentialRecordFound';
    if (!known.kubernetesSecrets?.length && !known.kubernetesServiceAccounts?.length) return 'mustAuthenticate';
    for (const credential of await credentials()) {
      if (credential.source.kind === 'node' || !isLetIn(known, accessOf(credential))) continue;
      if ((known.kubernetesSecrets?.length ?? 0) < mostNoted) await this.#note(image, imageRef, accessOf(credential));
      return 'credentialRecordFound';
    }
    return 'mustAuthenticate';
  }

  /** Before a pull: a kill in the middle of it must not make the image look like one that was always here. */
  async pulling(image: string): Promise<void> {
    this.#pulling.set(image, (this.#pulling.get(image) ?? 0) + 1);
    await this.#records.writeIntent(image);
  }

  async pulled(
    image: string,
    imageRef: string,
    credential: PullCredential | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    // A record that cannot be written keeps its intent: the image stays known as pulled.
    if (await this.#note(image, imageRef, accessOf(credential))) await this.#ended(image);
    if (this.#deps.clock.now() - this.#prunedAt >= pruneEveryMs) await this.#prune(signal);
  }

  async failed(image: string): Promise<void> {
    await this.#ended(image);
  }

  #mustVerify(image: string, isOurs: boolean): boolean {
    const { policy, allowlist } = this.#policy;
    switch (policy) {
      case 'NeverVerify':
        return false;
      case 'NeverVerifyPreloadedImages':
        return isOurs;
      case 'NeverVerifyAllowlistedImages':
        return !allowlist.some((entry) =>
          entry.endsWith('/*') ? withoutTag(image).startsWith(entry.slice(0, -1)) : withoutTag(image) === entry,
        );
      case 'AlwaysVerify':
        return true;
    }
  }

  /** False when it could not be written. */
  async #note(image: string, imageRef: string, added: RecordedAccess | undefined): Promise<boolean> {
    const { clock, log } = this.#deps;
    const writing = this.#writing.then(async () => {
      const found = this.#records.pulled(imageRef);
      const record = found === 'unreadable' ? undefined : found;
      const name = withoutTag(image);
      const before = record?.access[name];
      const after = added ? mergeAccess(before, added) : before;
      if (record && after === before) return;
      const access = { ...record?.access, ...(after && { [name]: after }) };
      await this.#records.writePulled({ imageRef, updatedAt: clock.now(), access });
    });
    this.#writing = writing.catch(() => {});
    try {
      await writing;
      return true;
    } catch (err) {
      log.warn({ image, imageId: imageRef, err: errorText(err) }, 'record of an image pull could not be written');
      return false;
    }
  }

  async #ended(image: string): Promise<void> {
    const left = (this.#pulling.get(image) ?? 1) - 1;
    if (left > 0) return void this.#pulling.set(image, left);
    this.#pulling.delete(image);
    try {
      await this.#records.removeIntent(image);
    } catch (err) {
      this.#deps.log.warn({ image, err: errorText(err) }, 'intent of an image pull could not be removed');
    }
  }

  async #takeUp(signal: AbortSignal): Promise<void> {
    const intents = new Map(this.#records.intents.map((image) => [fullName(image), image]));
    const present = await this.#prune(signal);
    for (const { id = '', repoTags = [], repoDigests = [] } of present)
      for (const name of [...repoTags, ...repoDigests]) {
        const image = intents.get(fullName(name));
        if (image !== undefined && (await this.#note(image, id, undefined))) await this.#records.removeIntent(image);
      }
  }

  /** Forgets images that are gone. */
  async #prune(signal: AbortSignal): Promise<readonly Image[]> {
    const before = this.#deps.clock.now();
    this.#prunedAt = before;
    const { images = [] } = await this.#deps.images.listImages({}, signal);
    const present = new Set(images.map(({ id }) => id));
    for (const { imageRef, updatedAt } of this.#records.all)
      if (!present.has(imageRef) && updatedAt < before) await this.#records.removePulled(imageRef);
    return images;
  }
}

/** The same credentials in another Secret, or the same Secret with others, are let in. */
function isLetIn(known: RecordedAccess, own: RecordedAccess): boolean {
  const secret = own.kubernetesSecrets?.[0];
  const account = own.kubernetesServiceAccounts?.[0];
  if (secret) {
    return (known.kubernetesSecrets ?? []).some(
      (each) =>
        isSameObject(each, secret) || (each.credentialHash !== '' && each.credentialHash === secret.credentialHash),
    );
  }
  return account !== undefined && (known.kubernetesServiceAccounts ?? []).some((each) => isSameObject(each, account));
}
