import { readFile, stat } from 'node:fs/promises';

/**
 * Tells which namespace is at a path: a path is used again after its namespace went, and after a reboot so is its number.
 * Undefined when nothing is there.
 */
export class NetnsIdentity {
  #bootId: Promise<string> | undefined;

  async of(path: string): Promise<string | undefined> {
    this.#bootId ??= readFile('/proc/sys/kernel/random/boot_id', 'utf8').then((text) => text.trim());
    try {
      const { dev, ino } = await stat(path);
      return `${await this.#bootId}/${dev}:${ino}`;
    } catch {
      return undefined;
    }
  }
}
