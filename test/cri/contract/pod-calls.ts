import type { RuntimeService, v1 } from '../../../cri/index.js';
import { eventually } from '../../support/daemon.js';

const never = (): AbortSignal => new AbortController().signal;
const namespaceOptions = { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } as const;

/** The calls of a pod's life, as short as a test wants them, on any runtime. */
export abstract class PodCalls {
  abstract readonly runtime: RuntimeService;
  /** An image with busybox and its applets in /bin, present. */
  abstract readonly imageRef: string;
  /** Pods' logs go below this folder. */
  abstract readonly logFolder: string;
  /** Parent cgroup of sandboxes; empty for none. */
  abstract readonly cgroupParent: string;
  /** Other runtimes want it again with each container. */
  readonly #configs = new Map<string, v1.PodSandboxConfig>();

  sandboxConfig(name: string, overrides: Partial<v1.PodSandboxConfig> = {}): v1.PodSandboxConfig {
    return {
      metadata: { name, namespace: 'test', uid: `uid-${name}`, attempt: 0 },
      hostname: name,
      logDirectory: `${this.logFolder}/${name}`,
      dnsConfig: { servers: ['10.96.0.10'], searches: ['a.test', 'b.test'], options: ['ndots:5'] },
      labels: { 'io.kubernetes.pod.name': name, pod: name },
      annotations: { a: 'b' },
      ...overrides,
      linux: { cgroupParent: this.cgroupParent, securityContext: { namespaceOptions }, ...overrides.linux },
    };
  }

  containerConfig(
    name: string,
    command: readonly string[],
    overrides: Partial<v1.ContainerConfig> = {},
  ): v1.ContainerConfig {
    return {
      metadata: { name, attempt: 0 },
      // As the kubelet says it; CRI-O asks for it.
      image: { image: this.imageRef, userSpecifiedImage: this.imageRef },
      command,
      // Not in a folder of its own, which whoever asks has to make.
      logPath: `${name}_0.log`,
      labels: { 'io.kubernetes.container.name': name, container: name },
      annotations: { c: 'd' },
      ...overrides,
      linux: { securityContext: { namespaceOptions }, ...overrides.linux },
    };
  }

  async runSandbox(name = 'pod', overrides: Partial<v1.PodSandboxConfig> = {}): Promise<string> {
    return await this.runSandboxOf(this.sandboxConfig(name, overrides));
  }

  async runSandboxOf(config: v1.PodSandboxConfig): Promise<string> {
    const { podSandboxId = '' } = await this.runtime.runPodSandbox({ config }, never());
    this.#configs.set(podSandboxId, config);
    return podSandboxId;
  }

  async createContainer(
    podSandboxId: string,
    name: string,
    command: readonly string[],
    overrides: Partial<v1.ContainerConfig> = {},
  ): Promise<string> {
    const config = this.containerConfig(name, command, overrides);
    const request = { podSandboxId, config, sandboxConfig: this.#configs.get(podSandboxId) };
    return (await this.runtime.createContainer(request, never())).containerId ?? '';
  }

  async startContainer(
    podSandboxId: string,
    name: string,
    command: readonly string[],
    overrides: Partial<v1.ContainerConfig> = {},
  ): Promise<string> {
    const containerId = await this.createContainer(podSandboxId, name, command, overrides);
    await this.runtime.startContainer({ containerId }, never());
    return containerId;
  }

  /** A shell's script that says by a file that it is where it should be; resolves when it is there: a trap is set by then. */
  async startScript(
    podSandboxId: string,
    name: string,
    { before, after }: { readonly before: string; readonly after: string },
    overrides: Partial<v1.ContainerConfig> = {},
  ): Promise<string> {
    const script = `${before}; : > /ready; ${after}`;
    const containerId = await this.startContainer(podSandboxId, name, ['sh', '-c', script], overrides);
    await eventually(`${name} is where it should be`, async () => {
      const found = await this.runtime.execSync({ containerId, cmd: ['test', '-e', '/ready'], timeout: 30 }, never());
      return (found.exitCode ?? 0) === 0;
    });
    return containerId;
  }

  async status(containerId: string): Promise<v1.ContainerStatus> {
    return (await this.runtime.containerStatus({ containerId }, never())).status ?? {};
  }

  async sandboxState(podSandboxId: string): Promise<v1.PodSandboxState | undefined> {
    return (await this.runtime.podSandboxStatus({ podSandboxId }, never())).status?.state;
  }

  /** Resolves when it has ended. */
  async exited(containerId: string): Promise<v1.ContainerStatus> {
    return await eventually(`container ${containerId} has ended`, async () => {
      const status = await this.status(containerId);
      return status.state === 'CONTAINER_EXITED' && status;
    });
  }

  async removeSandbox(podSandboxId: string): Promise<void> {
    await this.runtime.stopPodSandbox({ podSandboxId }, never());
    await this.runtime.removePodSandbox({ podSandboxId }, never());
    this.#configs.delete(podSandboxId);
  }
}
