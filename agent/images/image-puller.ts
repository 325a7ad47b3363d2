import type { AuthConfig } from '../../proto/generated/cri-v1.js';
import { CriError, type ImageService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import { FifoLimit } from '../../base/fifo-limit.js';
import type { Pod, PodContainer, Secret } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { containerReference, podReference } from '../events/references.js';
import type { ImageEnsurer } from '../executors/executor-deps.js';
import { StepError } from '../executors/step-error.js';
import { credentialsOfSecret, matchingCredentials, type RegistryCredentials } from './registry-credentials.js';

export interface ImagePullerOptions {
  /** Pulls at once. */
  readonly maxParallelPulls: number;
}

export interface ImagePullerDeps {
  readonly clock: Clock;
  readonly images: ImageService;
  readonly events: EventRecorder;
  secret(namespace: string, name: string, signal: AbortSignal): Promise<Secret | undefined>;
  /** Credentials of the node itself: docker config files, credential provider plugins. */
  nodeCredentials(image: string, pod: Pod, signal: AbortSignal): Promise<readonly AuthConfig[]>;
  /** Words about a pull under way, for `berth why`. */
  progress(pod: Pod, container: string, text: string): void;
}

/** Makes a container's image present by its pull policy (facts 11.1). */
export class ImagePuller implements ImageEnsurer {
  readonly #deps: ImagePullerDeps;
  readonly #pulls: FifoLimit;

  constructor(options: ImagePullerOptions, deps: ImagePullerDeps) {
    this.#deps = deps;
    this.#pulls = new FifoLimit(options.maxParallelPulls);
  }

  async ensure(pod: Pod, container: PodContainer, signal: AbortSignal): Promise<{ imageId: string }> {
    const { events } = this.#deps;
    const image = container.container.image ?? '';
    const reference = containerReference(pod, container);
    const policy = container.container.imagePullPolicy ?? defaultPolicy(image);
    if (policy !== 'Always') {
      const present = await this.#find(image, signal);
      if (present !== undefined) {
        events.record(reference, 'Normal', 'Pulled', `Container image "${image}" already present on machine`);
        return { imageId: present };
      }
      if (policy === 'Never') {
        const message = `Container image "${image}" is not present with pull policy of Never`;
        events.record(reference, 'Warning', 'ErrImageNeverPull', message);
        throw new StepError('ErrImageNeverPull', message);
      }
    }
    return this.#pulls.run(() => this.#pull(pod, container, image, signal), signal);
  }

  async #find(image: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { image: found } = await this.#deps.images.imageStatus({ image: { image } }, signal);
      return found?.id;
    } catch (err) {
      signal.throwIfAborted();
      const invalid = err instanceof CriError && err.failure.code === 'invalid-argument';
      throw new StepError(
        invalid ? 'InvalidImageName' : 'ImageInspectError',
        `inspect image "${image}": ${errorText(err)}`,
        err,
      );
    }
  }

  async #pull(pod: Pod, container: PodContainer, image: string, signal: AbortSignal): Promise<{ imageId: string }> {
    const { events, clock } = this.#deps;
    const reference = containerReference(pod, container);
    events.record(reference, 'Normal', 'Pulling', `Pulling image "${image}"`);
    const started = clock.now();
    try {
      const imageRef = await this.#tryCredentials(pod, container, image, signal);
      const { image: pulled } = await this.#deps.images.imageStatus({ image: { image: imageRef } }, signal);
      const took = ((clock.now() - started) / 1000).toFixed(3);
      events.record(
        reference,
        'Normal',
        'Pulled',
        `Successfully pulled image "${image}" in ${took}s. Image size: ${pulled?.size ?? 0} bytes.`,
      );
      return { imageId: pulled?.id ?? imageRef };
    } catch (err) {
      signal.throwIfAborted();
      const message = `Failed to pull image "${image}": ${errorText(err)}`;
      events.record(reference, 'Warning', 'Failed', message);
      throw new StepError(pullReason(err), message, err);
    }
  }

  /** Each candidate until one succeeds; anonymous when none matches. */
  async #tryCredentials(pod: Pod, container: PodContainer, image: string, signal: AbortSignal): Promise<string> {
    const candidates = await this.#candidates(pod, image, signal);
    const attempts: (AuthConfig | undefined)[] = candidates.length > 0 ? candidates : [undefined];
    let last: unknown;
    for (const auth of attempts) {
      try {
        const answer = await this.#deps.images.pullImage(
          { image: { image, userSpecifiedImage: image }, ...(auth ? { auth } : {}) },
          signal,
          ({ text }) => this.#deps.progress(pod, container.container.name, text),
        );
        return answer.imageRef ?? image;
      } catch (err) {
        signal.throwIfAborted();
        last = err;
      }
    }
    throw last;
  }

  async #candidates(pod: Pod, image: string, signal: AbortSignal): Promise<AuthConfig[]> {
    const namespace = pod.metadata?.namespace ?? 'default';
    const found: AuthConfig[] = [];
    for (const { name = '' } of pod.spec?.imagePullSecrets ?? []) {
      const secret = await this.#deps.secret(namespace, name, signal);
      if (!secret) {
        this.#deps.events.record(
          podReference(pod),
          'Warning',
          'FailedToRetrieveImagePullSecret',
          `Unable to retrieve image pull secret (${namespace}/${name}); attempting to pull the image may not succeed.`,
        );
        continue;
      }
      found.push(...matchingCredentials(image, readSecret(secret)));
    }
    return [...found, ...(await this.#deps.nodeCredentials(image, pod, signal))];
  }
}

function readSecret(secret: Secret): RegistryCredentials {
  try {
    return credentialsOfSecret(secret);
  } catch (err) {
    // The content is a secret: only that it cannot be read is said.
    throw new StepError(
      'ErrImagePull',
      `read pull secret ${secret.metadata?.namespace}/${secret.metadata?.name}: it is not a docker configuration (${err instanceof SyntaxError ? 'bad JSON' : 'unexpected shape'})`,
    );
  }
}

function pullReason(err: unknown): string {
  if (err instanceof StepError) return err.failure.reason;
  if (err instanceof CriError)
    return err.failure.pullReason ?? (err.failure.code === 'invalid-argument' ? 'InvalidImageName' : 'ErrImagePull');
  return 'ErrImagePull';
}

/** The API server's defaulting, for pods that did not pass through one. */
function defaultPolicy(image: string): 'Always' | 'IfNotPresent' {
  const last = image.slice(image.lastIndexOf('/') + 1);
  if (image.includes('@')) return 'IfNotPresent';
  return !last.includes(':') || last.endsWith(':latest') ? 'Always' : 'IfNotPresent';
}
