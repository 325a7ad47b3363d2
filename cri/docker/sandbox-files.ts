import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StateFile } from '../../base/atomic-file.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { resolvConf } from '../contract/resolv-conf.js';

/** What is known of a sandbox's network; its presence is what makes a running sandbox ready. */
export interface SandboxNetworkRecord {
  readonly ips: readonly string[];
}

const longestFileName = 255;

function parseRecord(data: unknown): SandboxNetworkRecord {
  const { ips } = (data ?? {}) as { ips?: unknown };
  if (!Array.isArray(ips) || !ips.every((ip) => typeof ip === 'string')) throw new Error('ips is not a list of texts');
  return { ips };
}

/** A folder per sandbox: its resolv.conf and the network it got, which Docker has no place for. */
export class SandboxFiles {
  readonly #folder: string;
  readonly #known = new Map<string, SandboxNetworkRecord>();

  constructor(stateDir: string) {
    this.#folder = join(stateDir, 'sandboxes');
  }

  /** By name, not id: it is mounted into the container that is to be made. */
  resolvConfPath(name: string): string {
    return join(this.#of(name), 'resolv.conf');
  }

  async writeResolvConf(name: string, dns: v1.DNSConfig | null | undefined): Promise<string> {
    const path = this.resolvConfPath(name);
    await mkdir(this.#of(name), { recursive: true, mode: 0o755 });
    const text = resolvConf(dns);
    await writeFile(path, text === '' ? await readFile('/etc/resolv.conf').catch(() => '') : text, { mode: 0o644 });
    return path;
  }

  async writeNetwork(name: string, record: SandboxNetworkRecord): Promise<void> {
    await this.#state(name).write(record);
    this.#known.set(name, record);
  }

  async readNetwork(name: string): Promise<SandboxNetworkRecord | undefined> {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const read = await this.#state(name).read();
    if (read.kind !== 'read') return undefined;
    this.#known.set(name, read.data);
    return read.data;
  }

  async forgetNetwork(name: string): Promise<void> {
    this.#known.delete(name);
    await this.#state(name).remove();
  }

  async remove(name: string): Promise<void> {
    this.#known.delete(name);
    await rm(this.#of(name), { recursive: true, force: true });
  }

  /** A pod's name may be as long as a file's, and is not the whole name of its sandbox. */
  #of(name: string): string {
    const short = name.length <= longestFileName ? name : createHash('sha256').update(name).digest('hex');
    return join(this.#folder, short);
  }

  #state(name: string): StateFile<SandboxNetworkRecord> {
    return new StateFile(join(this.#of(name), 'network.json'), 1, parseRecord, { flush: false });
  }
}
