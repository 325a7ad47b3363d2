import { CriError, tryParseReference, type ImageService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Pod, PodContainer } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { containerReference } from '../events/references.js';
import { formatGoMilliseconds } from '../podloop/go-duration.js';
import type { ImageEnsurer } from '../executors/executor-deps.js';
import { StepError } from '../executors/step-error.js';
import type { ImageAccess } from './image-access.js';
import { fullName } from './image-match.js';
import type { PullCredential } from './keyring.js';
import { PresentImages } from './present-images.js';
import type { FoundCredentials } from './pull-credentials.js';
import type { PullPace } from './pull-pace.js';

export interface ImagePullerDeps {
  readonly clock: Clock;
  readonly images: ImageService;
  readonly events: EventRecorder;
  readonly pace: PullPace;
  /** Undefined: an image that is here may be used by every pod. */
  readonly access: ImageAccess | undefined;
  credentials(image: string, pod: Pod, signal: AbortSignal): Promise<FoundCredentials>;
  readonly counts?:
    | {
        /** What was found of an image that a container needs: whether it is here, and whether it must be pulled. */
        imageEnsured(policy: string, present: boolean | undefined, pullRequired: boolean | undefined): void;
        /** With the time it waited for its turn. */
        imagePulled(seconds: number, bytes: number): void;
      }
    | undefined;
  /** Words about a pull under way, for `berth why`. */
  progress(pod: Pod, container: string, text: string): void;
}

/** One container's need of an image. */
interface Need {
  readonly pod: Pod;
  readonly container: PodContainer;
  readonly image: string;
  /** Looked up once, and only when they are needed. */
  readonly credentials: () => Promise<FoundCredentials>;
}

/** Makes a container's image present by its pull policy (facts 11.1). */
export class ImagePuller implements ImageEnsurer {
  readonly #deps: ImagePullerDeps;
  readonly #present: PresentImages;

  constructor(deps: ImagePullerDeps) {
    this.#deps = deps;
    this.#present = new PresentImages(deps);
  }

  async ensure(pod: Pod, container: PodContainer, signal: AbortSignal): Promise<{ imageId: string }> {
    const image = container.container.image ?? '';
    const reference = containerReference(pod, container);
    if (!canName(image)) {
      const message = `Failed to apply default image tag "${image}": couldn't parse image name "${image}": invalid reference format`;
      this.#deps.events.record(reference, 'Warning', 'InspectFailed', message);
      throw new StepError('InvalidImageName', message);
    }
    const policy = container.container.imagePullPolicy ?? defaultPolicy(image);
    let asked: Promise<FoundCredentials> | undefined;
    const credentials = (): Promise<FoundCredentials> => (asked ??= this.#deps.credentials(image, pod, signal));
    const need: Need = { pod, container, image, credentials };
    if (policy === 'Always') {
      this.#deps.counts?.imageEnsured(policy, undefined, true);
      return await this.#pull(need, signal);
    }
    const present = await this.#present.find(image, signal).catch((err: unknown) => {
      this.#deps.counts?.imageEnsured(policy, undefined, undefined);
      throw err;
    });
    if (present !== undefined && (await this.#mayUse(need, present))) {
      this.#deps.counts?.imageEnsured(policy, true, false);
      const allowed = this.#deps.access ? ' and can be accessed by the pod' : '';
      const message = `Container image "${image}" already present on machine${allowed}`;
      this.#deps.events.record(reference, 'Normal', 'Pulled', message);
      return { imageId: present };
    }
    const pulls = policy === 'Never' && present === undefined ? undefined : true;
    this.#deps.counts?.imageEnsured(policy, present !== undefined, pulls);
    if (policy === 'Never') {
      // The same words for an image that is not here and one that this pod may not have.
      const message = `Container image "${image}" is not present with pull policy of Never`;
      this.#deps.events.record(reference, 'Warning', 'ErrImageNeverPull', message);
      throw new StepError('ErrImageNeverPull', message);
    }
    return await this.#pull(need, signal);
  }

  async #mayUse({ image, credentials }: Need, imageId: string): Promise<boolean> {
    const { access } = this.#deps;
    if (!access) return true;
    return !(await access.mustPull(image, imageId, async () => (await credentials()).candidates));
  }

  async #pull(need: Need, signal: AbortSignal): Promise<{ imageId: string }> {
    const { access, pace, clock } = this.#deps;
    const { image, pod, container } = need;
    const asked = clock.now();
    const progress = (text: string): void => this.#deps.progress(pod, container.container.name, text);
    const found = await need.credentials();
    await access?.pulling(image);
    let used: { imageId: string; credential: PullCredential | undefined } | undefined;
    try {
      used = await pace.run(() => this.#pullNow(need, { found, asked }, progress, signal), progress, signal);
      return { imageId: used.imageId };
    } finally {
      if (used) await access?.pulled(image, used.imageId, used.credential, signal);
      else await access?.failed(image);
    }
  }

  async #pullNow(
    need: Need,
    { found, asked }: { readonly found: FoundCredentials; readonly asked: number },
    progress: (text: string) => void,
    signal: AbortSignal,
  ): Promise<{ imageId: string; credential: PullCredential | undefined }> {
    const { events, clock, images } = this.#deps;
    const { image } = need;
    const reference = containerReference(need.pod, need.container);
    events.record(reference, 'Normal', 'Pulling', `Pulling image "${image}"`);
    const started = clock.now();
    try {
      const { imageRef, credential } = await this.#tryEach(image, found.candidates, progress, signal);
      const { image: pulled } = await images.imageStatus({ image: { image: imageRef } }, signal);
      const now = clock.now();
      const took = formatGoMilliseconds(now - started);
      const waited = formatGoMilliseconds(now - asked);
      this.#deps.counts?.imagePulled((now - asked) / 1000, pulled?.size ?? 0);
      events.record(
        reference,
        'Normal',
        'Pulled',
        `Successfully pulled image "${image}" in ${took} (${waited} including waiting). Image size: ${pulled?.size ?? 0} bytes.`,
      );
      return { imageId: pulled?.id ?? imageRef, credential };
    } catch (err) {
      signal.throwIfAborted();
      const message = `Failed to pull image "${image}": ${errorText(err)}${notesText(err, found)}`;
      events.record(reference, 'Warning', 'Failed', message);
      throw new StepError(pullReason(err), message, err);
    }
  }

  /** Each candidate until one succeeds; without credentials when there is none. */
  async #tryEach(
    image: string,
    candidates: readonly PullCredential[],
    progress: (text: string) => void,
    signal: AbortSignal,
  ): Promise<{ imageRef: string; credential: PullCredential | undefined }> {
    const attempts: readonly (PullCredential | undefined)[] = candidates.length > 0 ? candidates : [undefined];
    let last: unknown;
    for (const credential of attempts) {
      try {
        const answer = await this.#deps.images.pullImage(
          { image: { image, userSpecifiedImage: image }, ...(credential && { auth: credential.auth }) },
          signal,
          ({ text }) => progress(text),
        );
        return { imageRef: answer.imageRef ?? image, credential };
      } catch (err) {
        signal.throwIfAborted();
        last = err;
      }
    }
    throw last;
  }
}

/** Whose credentials were refused, and which could not be used: only said when the registry wants some. */
function notesText(err: unknown, { candidates, notes }: FoundCredentials): string {
  if (!(err instanceof CriError) || err.failure.code !== 'permission-denied') return '';
  const tried = candidates.map(({ source }) => {
    if (source.kind === 'node') return "the node's own";
    return source.kind === 'secret' ? `Secret ${source.name}` : `service account ${source.name}`;
  });
  const names = [...new Set(tried)].join(', ');
  return [names === '' ? 'no credentials were found for it' : `credentials tried: ${names}`, ...notes]
    .map((note) => `; ${note}`)
    .join('');
}

function pullReason(err: unknown): string {
  if (err instanceof StepError) return err.failure.reason;
  if (err instanceof CriError)
    return err.failure.pullReason ?? (err.failure.code === 'invalid-argument' ? 'InvalidImageName' : 'ErrImagePull');
  return 'ErrImagePull';
}

/** What cannot name an image is never asked for. A bare id is no name; runtimes know it all the same. */
const canName = (image: string): boolean => /^[0-9a-f]{64}$/.test(image) || tryParseReference(image) !== undefined;

/** The API server's defaulting, for pods that did not pass through one. */
function defaultPolicy(image: string): 'Always' | 'IfNotPresent' {
  return image.includes('@') || !fullName(image).endsWith(':latest') ? 'IfNotPresent' : 'Always';
}
