import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomic } from '../../../base/atomic-file.js';
import { errnoOf } from '../../../base/errors.js';

const nonceBytes = 12;
const tagBytes = 16;

/** AES-256-GCM with a key that only root of this machine can read: no object is on disk in the clear. */
export class Sealer {
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
  }

  /** Reads the key, or makes one. */
  static async open(keyPath: string): Promise<Sealer> {
    try {
      return new Sealer(await readFile(keyPath));
    } catch (err) {
      if (errnoOf(err) !== 'ENOENT') throw err;
    }
    const key = randomBytes(32);
    await mkdir(dirname(keyPath), { recursive: true, mode: 0o700 });
    await writeFileAtomic(keyPath, key, { mode: 0o400 });
    return new Sealer(key);
  }

  seal(text: string): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), body]);
  }

  /** Throws when the content was changed or sealed with another key. */
  unseal(sealed: Buffer): string {
    const nonce = sealed.subarray(0, nonceBytes);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce);
    decipher.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes + tagBytes)), decipher.final()]).toString('utf8');
  }
}
