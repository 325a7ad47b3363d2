import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageService } from '../../cri/index.js';
import type { Pod, Quantity } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import { CriConfigBuilder, type ContainerGrants } from '../containers/config-builder.js';
import { environmentSources } from '../containers/environment-sources.js';
import type { PodFiles } from '../containers/pod-files.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import { imageUser } from '../images/image-user.js';
import { parseResolvConf } from '../network/dns-config.js';
import { CachedFile } from '../node/cached-file.js';
import type { HostFacts } from '../node/host-facts.js';
import type { CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import type { PodCgroups } from '../resources/pod-cgroups.js';
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
  grants(pod: Pod, container: string): ContainerGrants;
  runningId(pod: Pod, container: string): string | undefined;
}

/** What turns specs into CRI configurations on this node. */
export function wireConfigs(config: AgentConfig, parts: ConfigParts): CriConfigBuilder {
  const { controlPlane, host, hierarchy, allocatable, cgroups, volumes, files, images } = parts;
  const { paths } = config;
  const node = { nodeName: config.nodeName, hostIps: host.addresses };
  const resolver = new CachedFile(config.dns.resolvConf, parseResolvConf);
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
        cgroupV2: hierarchy.version === 2,
        singleProcessOomKill: hierarchy.version === 1,
      },
    },
    {
      cgroups,
      volumes,
      files,
      environment: (podIps) => environmentSources(controlPlane, volumes, { ...node, podIps }, allocatable),
      imageUser: (imageId, signal) => imageUser(images, imageId, signal),
      runtimeClass: (name, signal) => controlPlane.get('RuntimeClass', '', name, signal),
      hostResolver: () => resolver.read(),
      nodeHosts: () => readFile('/etc/hosts', 'utf8'),
      grants: (pod, container) => parts.grants(pod, container),
      runningId: (pod, container) => parts.runningId(pod, container),
    },
  );
}
