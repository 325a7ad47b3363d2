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
import type { ListPodResourcesResponse as AlphaList } from '../../proto/generated/podresources-v1alpha1.js';
import { WireServices } from '../../proto/wire/index.js';
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

export type PodResourcesMethod = 'list' | 'get' | 'get_allocatable';
export type PodResourcesVersion = 'v1' | 'v1alpha1';

export interface PodResourcesOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly now?: (() => number) | undefined;
  /** Told of each request when it is answered. */
  readonly onRequest?:
    ((method: PodResourcesMethod, version: PodResourcesVersion, failed: boolean) => void) | undefined;
}

const perSecond = 100;
const burst = 10;
const notFound = 5;
const resourceExhausted = 8;

export const podResourcesSocket = (root: string): string => join(root, 'pod-resources', 'kubelet.sock');

/** The pod resources API, v1 and v1alpha1, for monitoring agents of devices: read only, limited to 100 calls a second. */
export async function servePodResources(
  root: string,
  facts: PodResourcesFacts,
  { now = () => performance.now(), onRequest }: PodResourcesOptions = {},
): Promise<UnixServer> {
  const bucket = new TokenBucket(perSecond, burst, now());
  const limited =
    (method: PodResourcesMethod, version: PodResourcesVersion, answer: (request: object) => object) =>
    async (request: object): Promise<object> => {
      await Promise.resolve();
      try {
        if (!bucket.take(now())) throw new StatusError(resourceExhausted, 'rejected by rate limit');
        const answered = answer(request);
        onRequest?.(method, version, false);
        return answered;
      } catch (err) {
        onRequest?.(method, version, true);
        throw err;
      }
    };
  const definitions = new WireServices();
  const services = async (): Promise<readonly ServedService[]> => {
    const v1 = await definitions.load('podresources-v1', 'v1.PodResourcesLister');
    const alpha = await definitions.load('podresources-v1alpha1', 'v1alpha1.PodResourcesLister');
    return [
      {
        definition: v1.service,
        methods: {
          list: limited('list', 'v1', () => ({
            podResources: facts.activePods().map((pod) => podResources(pod, facts)),
          })),
          getAllocatableResources: limited('get_allocatable', 'v1', () => allocatable(facts)),
          get: limited('get', 'v1', (request) => getPod(request, facts)),
        },
      },
      { definition: alpha.service, methods: { list: limited('list', 'v1alpha1', () => alphaList(facts)) } },
    ];
  };
  return await UnixServer.listen(podResourcesSocket(root), services, 0o750);
}

/** Devices only, each without its NUMA nodes. */
function alphaList(facts: PodResourcesFacts): AlphaList {
  return {
    podResources: facts.activePods().map(({ uid, name, namespace, containers }) => ({
      name,
      namespace,
      containers: containers.map((container) => ({
        name: container,
        devices: facts
          .devicesOf(uid, container)
          .map(({ resource, id }) => ({ resourceName: resource, deviceIds: [id] })),
      })),
    })),
  };
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
