import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SandboxNetwork, SandboxNetworkRequest, SandboxNetworkResult } from '../../cri/index.js';

/** A network that keeps what it attached in a folder, as a real one does, so that it outlives the process that asked. */
export class StateKeepingNetwork implements SandboxNetwork {
  readonly #folder: string;
  /** The next attach fails after it took the address. */
  failNextAttach = false;
  /** How many detaches fail from now on. */
  failDetaches = 0;
  readonly requests: SandboxNetworkRequest[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  async attach(request: SandboxNetworkRequest): Promise<SandboxNetworkResult> {
    this.requests.push(request);
    writeFileSync(join(this.#folder, request.sandboxId), JSON.stringify(request));
    if (this.failNextAttach) {
      this.failNextAttach = false;
      throw new Error('attach refused by the test');
    }
    return { ips: ['10.250.0.7', 'fd00::7'] };
  }

  async detach(sandboxId: string): Promise<void> {
    if (this.failDetaches > 0) {
      this.failDetaches--;
      throw new Error('detach refused by the test');
    }
    rmSync(join(this.#folder, sandboxId), { force: true });
  }

  async attached(): Promise<readonly string[]> {
    return readdirSync(this.#folder);
  }

  async status(): Promise<{ ready: boolean; reason: string; message: string }> {
    return { ready: true, reason: '', message: '' };
  }
}
