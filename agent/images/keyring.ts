import type { AuthConfig } from '../../proto/generated/cri-v1.js';
import type { DockerAuths } from './docker-config.js';
import { matchesImage } from './image-match.js';

/** Whose credentials they are: the node's own may be used by every pod on it. */
export type CredentialSource =
  | { readonly kind: 'node' }
  | {
      readonly kind: 'secret' | 'service-account';
      readonly uid: string;
      readonly namespace: string;
      readonly name: string;
    };

export interface PullCredential {
  readonly auth: AuthConfig;
  readonly source: CredentialSource;
}

const dockerHub = 'index.docker.io';

/** Credentials of any number of docker configurations, found by what they match. */
export class Keyring {
  readonly #byPattern = new Map<string, PullCredential[]>();

  add(auths: DockerAuths, source: CredentialSource): void {
    for (const [pattern, auth] of auths) {
      const known = this.#byPattern.get(pattern) ?? [];
      known.push({ auth, source });
      this.#byPattern.set(pattern, known);
    }
  }

  /** Candidates for a repository, the most specific pattern first, as the kubelet orders them (facts 11.3). */
  lookup(repository: string): PullCredential[] {
    const found = [...this.#byPattern]
      .filter(([pattern]) => matchesImage(pattern, repository))
      .sort(([a], [b]) => (a < b ? 1 : -1))
      .flatMap(([, credentials]) => credentials);
    if (found.length > 0 || !repository.startsWith('docker.io/')) return found;
    return this.#byPattern.get(dockerHub) ?? [];
  }
}
