import { join } from 'node:path';
import type {
  AllocatableResourcesResponse,
  ContainerDevices,
  ContainerMemory,
  ContainerResources,
  DynamicResource,
  GetPodResourcesRequest,
  PodResources,
} from '../../proto/generated/podresources-v1.js';
import type { ContainerDevice } from '../manager/device-manager.js';
import { TokenBucket } from '../wire/token-bucket.js';
import { StatusError, UnixServer, type ServedService } from '../wire/unix-server.js';

export interface PodResourcesPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Sidecars first, then regular containers; init containers that end are not told of. */
  readonly containers: readonly string[];
}

export interface MemoryBlock {
  /** `memory`, `hugepages-2Mi`, ... */
  readonly type: string;
  readonly bytes: number;
  readonly numaNodes: readonly number[];
}

/** Everything the server tells, asked anew for every call. */
export interface PodResourcesFacts {
  /** Pods that are not over. */
  activePods(): readonly PodResourcesPod[];
  devicesOf(podUid: string, container: string): readonly ContainerDevice[];
  allocatableDevices(): readonly ContainerDevice[];
  /** CPUs the container has for itself; empty for the shared pool. */
  cpusOf(podUid: string, container: string): readonly number[];
  allocatableCpus(): readonly number[];
  memoryOf(podUid: string, container: string): readonly MemoryBlock[];
  allocatableMemory(): readonly MemoryBlock[];
  dynamicResourcesOf(podUid: string, container: string): readonly DynamicResource[];
}

const perSecond = 100;
const burst = 10;
const notFound = 5;
const resourceExhausted = 8;

export const podResourcesSocket = (root: string): string => join(root, 'pod-resources', 'kubelet.sock');

/** The pod resources API, v1, for monitoring agents of devices: read only, limited to 100 calls a second. */
export async function servePodResources(
  root: string,
  facts: PodResourcesFacts,
  now: () => number = () => performance.now(),
): Promise<UnixServer> {
  const bucket = new TokenBucket(perSecond, burst, now());
  const limited =
    (answer: (request: object) => object) =>
    async (request: object): Promise<object> => {
      await Promise.resolve();
      if (!bucket.take(now())) throw new StatusError(resourceExhausted, 'rejected by rate limit');
      return answer(request);
    };
  const services = async (): Promise<readonly ServedService[]> => {
    const { serviceDefinition } = await import('../../proto/load.js');
    return [
      {
        definition: serviceDefinition('podresources-v1', 'v1.PodResourcesLister'),
        methods: {
          list: limited(() => ({ podResources: facts.activePods().map((pod) => podResources(pod, facts)) })),
          getAllocatableResources: limited(() => allocatable(facts)),
          get: limited((request) => getPod(request, facts)),
        },
      },
    ];
  };
  return await UnixServer.listen(podResourcesSocket(root), services, 0o750);
}

function getPod(request: GetPodResourcesRequest, facts: PodResourcesFacts): object {
  const { podName = '', podNamespace = '' } = request;
  const pod = facts.activePods().find((each) => each.name === podName && each.namespace === podNamespace);
  if (pod === undefined) throw new StatusError(notFound, `pod ${podName} in namespace ${podNamespace} not found`);
  return { podResources: podResources(pod, facts) };
}

function allocatable(facts: PodResourcesFacts): AllocatableResourcesResponse {
  return {
    devices: facts.allocatableDevices().flatMap(wireDevices),
    cpuIds: facts.allocatableCpus(),
    memory: facts.allocatableMemory().map(wireMemory),
  };
}

function podResources(pod: PodResourcesPod, facts: PodResourcesFacts): PodResources {
  return {
    name: pod.name,
    namespace: pod.namespace,
    containers: pod.containers.map((name): ContainerResources => ({
      name,
      devices: facts.devicesOf(pod.uid, name).flatMap(wireDevices),
      cpuIds: facts.cpusOf(pod.uid, name),
      memory: facts.memoryOf(pod.uid, name).map(wireMemory),
      dynamicResources: facts.dynamicResourcesOf(pod.uid, name),
    })),
  };
}

/** One entry per device and NUMA node, as the kubelet has it. */
function wireDevices({ resource, id, numaNodes }: ContainerDevice): ContainerDevices[] {
  const entry = { resourceName: resource, deviceIds: [id] };
  return numaNodes.length === 0
    ? [{ ...entry, topology: null }]
    : numaNodes.map((ID) => ({ ...entry, topology: { nodes: [{ ID }] } }));
}

function wireMemory({ type, bytes, numaNodes }: MemoryBlock): ContainerMemory {
  return { memoryType: type, size: bytes, topology: { nodes: numaNodes.map((ID) => ({ ID })) } };
}
