import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** Names of block devices by their numbers (`254:0`), as monitoring knows them: `/dev/vda`. */
export class BlockDevices {
  readonly #sysDir: string;
  readonly #names = new Map<string, string>();

  constructor(sysDir = '/sys') {
    this.#sysDir = sysDir;
  }

  /** Empty for what is no block device: overlays, tmpfs. */
  name(numbers: string): string {
    const known = this.#names.get(numbers);
    if (known !== undefined) return known;
    const name = this.#look(numbers);
    this.#names.set(numbers, name);
    return name;
  }

  #look(numbers: string): string {
    try {
      return `/dev/${basename(readlinkSync(`${this.#sysDir}/dev/block/${numbers}`))}`;
    } catch {
      return '';
    }
  }
}

/** `254:0`, from what `stat` says of a file on the device. */
export function deviceNumbers(dev: number): string {
  const major = Math.floor(dev / 2 ** 8) & 0xfff;
  const minor = (dev & 0xff) | ((Math.floor(dev / 2 ** 12) & 0xfff00) >>> 0);
  return `${major}:${minor}`;
}
