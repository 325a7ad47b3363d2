import { createPrivateKey } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../../base/atomic-file.js';
import { makeKey } from './x509-parts.js';

/**
 * The key that a certificate was asked for with and that has none yet. It is kept until then, as a kubelet keeps it and where: an agent that
 * is started anew in between finds its request again instead of making another one for someone to approve.
 */
export class PendingKey {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The one that is kept; a new one where there is none that can be used. */
  async take(): Promise<string> {
    const kept = await readIfPresent(this.#path);
    if (kept !== undefined && isUsable(kept)) return kept;
    const key = await makeKey();
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o750 });
    await writeFileAtomic(this.#path, key);
    return key;
  }

  async drop(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

/** Requests are signed with keys of this curve only. */
function isUsable(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyDetails?.namedCurve === 'prime256v1';
  } catch {
    return false;
  }
}
