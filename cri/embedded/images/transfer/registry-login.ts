import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as v1 from '../../../../proto/generated/cri-v1.js';
import { imageError } from '../image-error.js';
import type { ImageReference } from '../reference.js';

const tmpfsMagic = 0x01021994;

/** The credentials of one pull, as skopeo reads them: a file in memory that only root can read, gone when disposed. */
export class RegistryLogin implements AsyncDisposable {
  /** Undefined: ask the registry without credentials. */
  readonly file: string | undefined;
  readonly #folder: string | undefined;

  private constructor(folder: string | undefined, file: string | undefined) {
    this.#folder = folder;
    this.file = file;
  }

  /**
   * `fallbackFile` is the operator's own auth file, used when the pull brings nothing. Credentials for another server than the
   * image's are not sent to it.
   */
  static async open(
    reference: ImageReference,
    auth: v1.AuthConfig | null | undefined,
    options: { readonly secretsDir?: string | undefined; readonly fallbackFile?: string | undefined },
  ): Promise<RegistryLogin> {
    const entry = authEntry(reference, auth);
    if (entry === undefined) return new RegistryLogin(undefined, options.fallbackFile);
    const folder = await mkdtemp(join(await secretsFolder(options.secretsDir), 'berth-login-'));
    try {
      const file = join(folder, 'auth.json');
      const content = JSON.stringify({ auths: { [reference.domain]: entry } });
      await writeFile(file, content, { mode: 0o600, flag: 'wx' });
      return new RegistryLogin(folder, file);
    } catch (err) {
      await rm(folder, { recursive: true, force: true });
      throw err;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }
}

/** `/run` where it is in memory, as on any systemd machine; else the shared memory folder. Never a disk. */
async function secretsFolder(configured: string | undefined): Promise<string> {
  for (const folder of configured === undefined ? ['/run', '/dev/shm'] : [configured]) {
    const isMemory = await statfs(folder).then(
      (stat) => stat.type === tmpfsMagic,
      () => false,
    );
    if (isMemory) return folder;
  }
  throw imageError('failed', `keep credentials: ${configured ?? '/run and /dev/shm'} is not on tmpfs`);
}

interface AuthEntry {
  readonly auth?: string;
  readonly identitytoken?: string;
}

/** CRI leaves the mapping to the runtime; the rules are containerd's. */
export function authEntry(reference: ImageReference, auth: v1.AuthConfig | null | undefined): AuthEntry | undefined {
  if (auth === null || auth === undefined) return undefined;
  if (auth.serverAddress && serverHost(auth.serverAddress) !== reference.domain) return undefined;
  if (auth.username) {
    return { auth: Buffer.from(`${auth.username}:${auth.password ?? ''}`).toString('base64') };
  }
  if (auth.identityToken)
    return { auth: Buffer.from('<token>:').toString('base64'), identitytoken: auth.identityToken };
  if (auth.auth) {
    const decoded = Buffer.from(auth.auth, 'base64').toString('utf8').replace(/\0+$/, '');
    if (!decoded.includes(':')) {
      throw imageError(
        'unauthorized',
        `log in to ${reference.domain}: the given "auth" is not base64 of user:password`,
      );
    }
    return { auth: Buffer.from(decoded).toString('base64') };
  }
  if (auth.registryToken) {
    throw imageError('unauthorized', `log in to ${reference.domain}: registry tokens are not supported`);
  }
  return undefined;
}

function serverHost(address: string): string {
  const host = address.replace(/^https?:\/\//, '').split('/')[0] ?? '';
  return /^(?:index\.|registry-1\.)?docker\.io$/.test(host) ? 'docker.io' : host;
}
