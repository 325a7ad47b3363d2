import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { PodUid, Secret } from '../api/index.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { ReadForPod } from './claims/claim-resolver.js';
import type { Mounter } from './mounts/mounter.js';
import type { OwnershipDeps } from './ownership.js';
import type { TokenCache } from './payload/token-cache.js';
import { VolumeProblem } from './volume-error.js';
import type { VolumePaths } from './volume-paths.js';

/** What plugins that work with devices and drivers are made of. */
export interface PluginContext extends OwnershipDeps {
  readonly paths: VolumePaths;
  readonly nodeName: string;
  /** No cluster: claims, attaching and provisioning are the agent's own work. */
  readonly standalone: boolean;
  /** Volumes are attached by the agent itself, and by no controller: without a cluster, or where its configuration wants it so. */
  readonly attachesHere: boolean;
  /** The SELinux label of containers' files; undefined where SELinux is off. */
  readonly seLinuxFileContext?: string | undefined;
  readonly mounter: Mounter;
  readonly run: RunProgram;
  readonly clock: Clock;
  readonly log: Logger;
  readonly objects: Pick<ControlPlane, 'get' | 'list'>;
  readonly read: ReadForPod;
  readonly tokens: TokenCache;
  /** In a cluster: the pod is told when what is attached to this node changes. */
  followAttached(uid: PodUid): void;
  /** What a volume of the pod waited for is there: it is tried again now. */
  lookAgain(uid: PodUid): void;
  /** For what goes on behind the calls. */
  readonly lifetime: AbortSignal;
}

export interface SecretRef {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
}

/** Values of a Secret, decoded, and its type; nothing when there is no reference. The pod is told when the Secret changes. */
export async function readSecret(
  read: ReadForPod,
  uid: PodUid,
  ref: SecretRef | undefined,
  namespace: string,
  signal: AbortSignal,
): Promise<SecretContent> {
  return await secretContent((place, name) => read(uid, 'Secret', place, name, signal), ref, namespace);
}

export interface SecretContent {
  readonly type: string | undefined;
  /** As the Secret has them. */
  readonly bytes: Readonly<Record<string, Uint8Array>>;
  /** As text, for who can take nothing else; refuses what is none, for a key that was changed on the way opens nothing. */
  readonly values: Readonly<Record<string, string>>;
}

/** The same where no pod is there to be told. */
export async function secretContent(
  get: (namespace: string, name: string) => Promise<Secret | undefined>,
  ref: SecretRef | undefined,
  namespace: string,
): Promise<SecretContent> {
  if (!ref?.name) return { type: undefined, bytes: {}, values: {} };
  const { name } = ref;
  const secret = await get(ref.namespace ?? namespace, name);
  if (!secret) throw new VolumeProblem('not-found', `secret "${name}" not found`);
  const data = Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')] as const);
  const text = Object.entries(secret.stringData ?? {}).map(([key, value]) => [key, Buffer.from(value)] as const);
  const bytes = Object.fromEntries([...data, ...text]);
  return {
    type: secret.type,
    bytes,
    get values() {
      return Object.fromEntries(Object.entries(bytes).map(([key, value]) => [key, textOf(name, key, value)]));
    },
  };
}

function textOf(secret: string, key: string, value: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    throw new VolumeProblem('refused', `secret "${secret}": the value of "${key}" is not UTF-8 text`);
  }
}
