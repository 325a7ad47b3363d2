import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { podUidOf, type Pod, type Secret } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { podReference } from '../events/references.js';
import { StepError } from '../executors/step-error.js';
import type { CredentialProvider } from './credential-providers/index.js';
import { authsOfSecret } from './docker-config.js';
import { repositoryOf } from './image-match.js';
import { Keyring, type PullCredential } from './keyring.js';
import type { NodeDockerConfig } from './node-docker-config.js';

export interface PullCredentialsDeps {
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly node: Pick<NodeDockerConfig, 'read'>;
  readonly providers: readonly Pick<CredentialProvider, 'name' | 'provide'>[];
  secret(namespace: string, name: string, signal: AbortSignal): Promise<Secret | undefined>;
}

export interface FoundCredentials {
  /** In the order in which they are tried; none stands for a pull without credentials. */
  readonly candidates: readonly PullCredential[];
  /** What could not be used, for whom the registry then refuses. */
  readonly notes: readonly string[];
}

/** All credentials for a pod's image, in the kubelet's order: pull secrets, the node's own, credential providers (facts 11.3). */
export async function findCredentials(
  image: string,
  pod: Pod,
  deps: PullCredentialsDeps,
  signal: AbortSignal,
): Promise<FoundCredentials> {
  const repository = repositoryOf(image);
  const notes: string[] = [];
  const ofSecrets = await secretsOf(pod, notes, deps, signal);
  const ofNode = new Keyring();
  const { auths, notes: nodeNotes } = deps.node.read();
  ofNode.add(auths, { kind: 'node' });
  const ofProviders = new Keyring();
  for (const provider of deps.providers) {
    try {
      const provided = await provider.provide(repository, pod, signal);
      if (provided) ofProviders.add(provided.auths, provided.source);
    } catch (err) {
      signal.throwIfAborted();
      // A pull without this provider's credentials may still succeed.
      deps.log.warn({ provider: provider.name, image, podUid: podUidOf(pod), err: errorText(err) }, 'no credentials');
      notes.push(errorText(err));
    }
  }
  const candidates = [ofSecrets, ofNode, ofProviders].flatMap((keyring) => keyring.lookup(repository));
  return { candidates, notes: [...notes, ...nodeNotes] };
}

async function secretsOf(pod: Pod, notes: string[], deps: PullCredentialsDeps, signal: AbortSignal): Promise<Keyring> {
  const keyring = new Keyring();
  const namespace = pod.metadata?.namespace ?? 'default';
  const missing: string[] = [];
  for (const { name = '' } of pod.spec?.imagePullSecrets ?? []) {
    if (name === '') continue;
    const secret = await deps.secret(namespace, name, signal);
    if (secret) keyring.add(readSecret(secret), { kind: 'secret', uid: secret.metadata?.uid ?? '', namespace, name });
    else missing.push(name);
  }
  if (missing.length > 0) {
    deps.events.record(
      podReference(pod),
      'Warning',
      'FailedToRetrieveImagePullSecret',
      `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`,
    );
    notes.push(`there is no Secret ${missing.join(', ')} in namespace ${namespace}, which imagePullSecrets name`);
  }
  return keyring;
}

function readSecret(secret: Secret): ReturnType<typeof authsOfSecret> {
  try {
    return authsOfSecret(secret);
  } catch (err) {
    const { namespace, name } = secret.metadata ?? {};
    throw new StepError(
      'ErrImagePull',
      `read pull secret ${namespace}/${name}: it is not a docker configuration: ${errorText(err)}`,
    );
  }
}
