import type { v1 } from '../../../cri/index.js';
import type { PodCalls } from './pod-calls.js';

/** A pod of the suite; disposing it stops and removes it. */
export class ContractPod implements AsyncDisposable {
  readonly config: v1.PodSandboxConfig;
  id = '';
  readonly #calls: PodCalls;

  constructor(calls: PodCalls, number: number, overrides: Partial<v1.PodSandboxConfig>) {
    this.#calls = calls;
    const name = `contract-${process.pid}-${number}`;
    this.config = calls.sandboxConfig(name, { labels: { suite: 'contract', pod: name }, ...overrides });
  }

  async run(): Promise<this> {
    this.id = await this.#calls.runSandboxOf(this.config);
    return this;
  }

  containerConfig(
    name: string,
    command: readonly string[],
    overrides?: Partial<v1.ContainerConfig>,
  ): v1.ContainerConfig {
    return this.#calls.containerConfig(name, command, overrides);
  }

  async create(name: string, command: readonly string[], overrides?: Partial<v1.ContainerConfig>): Promise<string> {
    return await this.#calls.createContainer(this.id, name, command, overrides);
  }

  async start(name: string, command: readonly string[], overrides?: Partial<v1.ContainerConfig>): Promise<string> {
    return await this.#calls.startContainer(this.id, name, command, overrides);
  }

  /** See `PodCalls.startScript`. */
  async startScript(name: string, before: string, after: string): Promise<string> {
    return await this.#calls.startScript(this.id, name, { before, after });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#calls.removeSandbox(this.id);
  }
}
