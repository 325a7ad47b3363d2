import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../base/log.js';
import type { ImageService, RuntimeService } from '../../cri/index.js';
import type { Pod, Quantity } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import { CriConfigBuilder, type ContainerGrants } from '../containers/config-builder.js';
import { environmentSources } from '../containers/environment-sources.js';
import type { PodFiles } from '../containers/pod-files.js';
import { UserNamespaces } from '../containers/user-namespaces.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import { ImageUserLookup } from '../images/image-user.js';
import { hostResolver } from '../network/host-resolver.js';
import type { HostFacts } from '../node/host-facts.js';
import { cgroupNames } from '../resources/cgroups/cgroup-names.js';
import type { CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import type { ExclusiveCpus } from '../resources/linux-resources.js';
import type { PodCgroups } from '../resources/pod-cgroups.js';
import { limitsSwap, type SwapNode } from '../resources/swap.js';
import type { VolumeManager } from '../volumes/index.js';

export interface ConfigParts {
  readonly controlPlane: ControlPlane;
  readonly host: HostFacts;
  readonly hierarchy: CgroupHierarchy;
  readonly allocatable: Readonly<Record<string, Quantity>>;
  readonly cgroups: PodCgroups;
  readonly volumes: VolumeManager;
  readonly files: PodFiles;
  readonly images: ImageService;
  readonly runtime: RuntimeService;
  readonly log: Logger;
  grants(pod: Pod, container: string): ContainerGrants;
  /** CPUs and NUMA nodes of a container; absent where all run anywhere. */
  readonly placeOf?: ((pod: Pod, container: string) => ExclusiveCpus) | undefined;
  runningId(pod: Pod, container: string): string | undefined;
}

/** Absent where the kernel does not limit swap. A machine without any today may have some tomorrow, while these containers run. */
function swapOf(
  { kubelet, cgroups }: AgentConfig,
  { swapBytes = 0, memoryBytes }: HostFacts,
  hierarchy: CgroupHierarchy,
): SwapNode | undefined {
  if (!limitsSwap(hierarchy, cgroupNames(cgroups.driver, cgroups.root).tier('Guaranteed'))) return undefined;
  const behavior = kubelet?.memorySwap?.swapBehavior === 'LimitedSwap' ? 'LimitedSwap' : 'NoSwap';
  return { behavior, swapBytes, memoryBytes };
}

/** What turns specs into CRI configurations on this node. */
export function wireConfigs(config: AgentConfig, parts: ConfigParts): CriConfigBuilder {
  const { controlPlane, host, hierarchy, allocatable, cgroups, volumes, files, images } = parts;
  const { paths } = config;
  const users = new UserNamespaces(
    {
      podsDir: join(paths.rootDir, 'pods'),
      idsPerPod: config.kubelet?.userNamespaces?.idsPerPod ?? 65_536,
      maxPods: config.limits.maxPods,
      subuidPath: '/etc/subuid',
      subgidPath: '/etc/subgid',
    },
    { log: parts.log, supported: (handler, signal) => supportsUserNamespaces(parts.runtime, handler, signal) },
  );
  const imageUser = new ImageUserLookup(images);
  return new CriConfigBuilder(
    {
      podLogsDir: paths.podLogsDir,
      clusterDns: config.dns,
      security: { seccompDefault: config.security.seccompDefault, seccompRoot: join(paths.rootDir, 'seccomp') },
      node: {
        memoryBytes: host.memoryBytes,
        cpuCfsQuota: config.cgroups.cpuCfsQuota,
        cpuPeriodUs: config.cgroups.cpuPeriodUs,
        hugepageSizes: host.hugepageSizes,
        cpusOf: parts.placeOf,
        cgroupV2: hierarchy.version === 2,
        singleProcessOomKill: config.kubelet?.singleProcessOOMKill ?? hierarchy.version === 1,
        swap: swapOf(config, host, hierarchy),
      },
    },
    {
      cgroups,
      volumes,
      files,
      users,
      environment: (podIps) => {
        const node = { nodeName: config.nodeName, hostIps: host.addresses, podIps };
        return environmentSources(controlPlane, volumes, node, allocatable);
      },
      imageUser: (imageId, signal) => imageUser.of(imageId, signal),
      runtimeClass: (name, signal) => controlPlane.get('RuntimeClass', '', name, signal),
      hostResolver: hostResolver(config.dns.resolvConf),
      nodeHosts: () => readFile('/etc/hosts', 'utf8'),
      grants: (pod, container) => parts.grants(pod, container),
      runningId: (pod, container) => parts.runningId(pod, container),
    },
  );
}

/** As the runtime says now: it may have been another one at start-up. */
async function supportsUserNamespaces(runtime: RuntimeService, handler: string, signal: AbortSignal): Promise<boolean> {
  const { runtimeHandlers = [] } = await runtime.status({}, signal);
  return runtimeHandlers.some(({ name = '', features }) => name === handler && features?.userNamespaces === true);
}
