import type { v1 } from '../../../cri/index.js';
import { signal, type ContractSubject } from './cases.js';

/** A pod of the suite; disposing it stops and removes it. */
export class ContractPod implements AsyncDisposable {
  readonly config: v1.PodSandboxConfig;
  id = '';
  readonly #subject: ContractSubject;

  constructor(subject: ContractSubject, number: number, overrides: Partial<v1.PodSandboxConfig>) {
    this.#subject = subject;
    const name = `contract-${process.pid}-${number}`;
    this.config = {
      metadata: { name, namespace: 'contract', uid: `uid-${name}`, attempt: 0 },
      hostname: name,
      logDirectory: `${this.#subject.logFolder}/${name}`,
      dnsConfig: { servers: ['10.96.0.10'], searches: ['a.test', 'b.test'], options: ['ndots:5'] },
      labels: { suite: 'contract', pod: name },
      annotations: { a: 'b' },
      ...overrides,
      linux: {
        cgroupParent: this.#subject.cgroupParent,
        securityContext: { namespaceOptions: { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } },
        ...overrides.linux,
      },
    };
  }

  async run(): Promise<this> {
    this.id = (await this.#subject.runtime.runPodSandbox({ config: this.config }, signal)).podSandboxId ?? '';
    return this;
  }

  containerConfig(
    name: string,
    command: readonly string[],
    overrides: Partial<v1.ContainerConfig> = {},
  ): v1.ContainerConfig {
    return {
      metadata: { name, attempt: 0 },
      // As the kubelet says it; CRI-O asks for it.
      image: { image: this.#subject.imageRef, userSpecifiedImage: this.#subject.imageRef },
      command,
      logPath: `${name}_0.log`,
      labels: { container: name },
      annotations: { c: 'd' },
      ...overrides,
      linux: {
        securityContext: { namespaceOptions: { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } },
        ...overrides.linux,
      },
    };
  }

  async create(name: string, command: readonly string[], overrides: Partial<v1.ContainerConfig> = {}): Promise<string> {
    const config = this.containerConfig(name, command, overrides);
    const request = { podSandboxId: this.id, config, sandboxConfig: this.config };
    return (await this.#subject.runtime.createContainer(request, signal)).containerId ?? '';
  }

  async start(name: string, command: readonly string[], overrides: Partial<v1.ContainerConfig> = {}): Promise<string> {
    const containerId = await this.create(name, command, overrides);
    await this.#subject.runtime.startContainer({ containerId }, signal);
    return containerId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subject.runtime.stopPodSandbox({ podSandboxId: this.id }, signal);
    await this.#subject.runtime.removePodSandbox({ podSandboxId: this.id }, signal);
  }
}
