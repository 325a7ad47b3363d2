import { statfs } from 'node:fs/promises';
import { toRfc3339, type Clock } from '../../../base/clock.js';
import type { NodeCondition, NodeStatus, Quantity } from '../../api/index.js';
import type { HostFacts } from '../../node/host-facts.js';
import type { RuntimeHealth } from '../../runtimes/runtime-health.js';
import type { NodeStatusSource } from './node-status-source.js';

export interface BasicNodeStatusDeps {
  readonly clock: Clock;
  readonly host: HostFacts;
  readonly nodeName: string;
  readonly rootDir: string;
  readonly kubeletVersion: string;
  readonly kubeletPort: number;
  readonly allocatable: Readonly<Record<string, Quantity>>;
  health(): RuntimeHealth;
  runtimeVersion(signal: AbortSignal): Promise<string>;
}

interface Verdict {
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** The node's status from what is always known; a fuller source takes its place where there is one. */
export class BasicNodeStatus implements NodeStatusSource {
  readonly #deps: BasicNodeStatusDeps;
  readonly #listeners = new Set<() => void>();
  #runtimeVersion: string | undefined;

  constructor(deps: BasicNodeStatusDeps) {
    this.#deps = deps;
  }

  async read(previous: NodeStatus | undefined, signal: AbortSignal): Promise<NodeStatus> {
    const { host, nodeName, allocatable, kubeletPort, kubeletVersion } = this.#deps;
    this.#runtimeVersion ??= await this.#deps.runtimeVersion(signal);
    const { blocks, bsize } = await statfs(this.#deps.rootDir);
    const storage = { 'ephemeral-storage': `${Math.floor((blocks * bsize) / 1024)}Ki` };
    return {
      addresses: [
        ...host.addresses.map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: nodeName },
      ],
      capacity: { ...allocatable, ...storage },
      allocatable: { ...allocatable, ...storage },
      conditions: this.#conditions(previous),
      daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      nodeInfo: {
        architecture: host.architecture,
        bootID: host.bootId,
        containerRuntimeVersion: this.#runtimeVersion,
        kernelVersion: host.kernel,
        kubeProxyVersion: '',
        kubeletVersion,
        machineID: host.machineId,
        operatingSystem: 'linux',
        osImage: host.osImage,
        systemUUID: host.systemUuid,
      },
    };
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** The runtime's health changed. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #conditions(previous: NodeStatus | undefined): NodeCondition[] {
    const fine = (reason: string, message: string): Verdict => ({ status: 'False', reason, message });
    const verdicts: Array<[string, Verdict]> = [
      ['MemoryPressure', fine('KubeletHasSufficientMemory', 'kubelet has sufficient memory available')],
      ['DiskPressure', fine('KubeletHasNoDiskPressure', 'kubelet has no disk pressure')],
      ['PIDPressure', fine('KubeletHasSufficientPID', 'kubelet has sufficient PID available')],
      ['Ready', this.#ready()],
    ];
    return verdicts.map(([type, verdict]) => {
      const before = previous?.conditions?.find((condition) => condition.type === type);
      const same = before?.status === verdict.status;
      const since = same ? before.lastTransitionTime : undefined;
      return { type, ...verdict, lastTransitionTime: since ?? toRfc3339(this.#deps.clock.now()) };
    });
  }

  #ready(): Verdict {
    const { ready, message, network } = this.#deps.health();
    const problems = [
      ...(ready ? [] : [message]),
      ...(network.ready ? [] : [`container runtime network not ready: ${network.message}`]),
    ];
    return problems.length === 0
      ? { status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
      : { status: 'False', reason: 'KubeletNotReady', message: problems.join(', ') };
  }
}
