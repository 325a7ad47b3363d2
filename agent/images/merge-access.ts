import { createHash } from 'node:crypto';
import type { PullCredential } from './keyring.js';
import type { RecordedAccess, RecordedAccount } from './pull-records.js';

/** What a pull with these credentials lets whom have. */
export function accessOf(credential: PullCredential | undefined): RecordedAccess {
  const { source } = credential ?? {};
  if (!credential || !source || source.kind === 'node') return { nodePodsAccessible: true };
  const { uid, namespace, name } = source;
  return source.kind === 'secret'
    ? { kubernetesSecrets: [{ uid, namespace, name, credentialHash: credentialHash(credential) }] }
    : { kubernetesServiceAccounts: [{ uid, namespace, name }] };
}

/** The kubelet's hash of credentials: of their JSON as Go writes it. */
export function credentialHash({ auth }: PullCredential): string {
  const { username, password, identityToken, registryToken } = auth;
  const text = JSON.stringify({
    ...(username && { username }),
    ...(password && { password }),
    ...(identityToken && { identitytoken: identityToken }),
    ...(registryToken && { registrytoken: registryToken }),
  }).replaceAll(/[<>&\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return createHash('sha256').update(text).digest('hex');
}

/** Both together; the very same object when the second adds nothing. */
export function mergeAccess(known: RecordedAccess | undefined, added: RecordedAccess): RecordedAccess {
  if (!known) return added;
  if (known.nodePodsAccessible) return known;
  if (added.nodePodsAccessible) return { nodePodsAccessible: true };
  const secrets = merged(
    known.kubernetesSecrets,
    added.kubernetesSecrets,
    (a, b) => a.credentialHash === b.credentialHash,
  );
  const accounts = merged(known.kubernetesServiceAccounts, added.kubernetesServiceAccounts, () => true);
  if (secrets === known.kubernetesSecrets && accounts === known.kubernetesServiceAccounts) return known;
  return {
    ...(secrets && { kubernetesSecrets: secrets }),
    ...(accounts && { kubernetesServiceAccounts: accounts }),
  };
}

export const isSameObject = (a: RecordedAccount, b: RecordedAccount): boolean =>
  a.uid === b.uid && a.namespace === b.namespace && a.name === b.name;

/** One entry per object, the newer wins; in the order of their names. */
function merged<T extends RecordedAccount>(
  known: readonly T[] | undefined,
  added: readonly T[] = [],
  isSame: (a: T, b: T) => boolean,
): readonly T[] | undefined {
  const fresh = added.filter((one) => !known?.some((each) => isSameObject(each, one) && isSame(each, one)));
  if (fresh.length === 0) return known;
  const kept = (known ?? []).filter((each) => !fresh.some((one) => isSameObject(each, one)));
  return [...kept, ...fresh].toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

const sortKey = ({ namespace, name, uid }: RecordedAccount): string => `${namespace}\0${name}\0${uid}`;
