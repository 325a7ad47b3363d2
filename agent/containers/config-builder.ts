import { join } from 'node:path';
import type {
  ContainerConfig,
  LinuxContainerResources,
  Mount,
  PodSandboxConfig,
  Signal,
} from '../../proto/generated/cri-v1.js';
import { criAnnotations, criLabels } from '../../cri/index.js';
import { containerHash, type Container, type EphemeralContainer, type Pod, type RuntimeClass } from '../api/index.js';
import type { ConfigBuilder, ContainerRequest } from '../executors/executor-deps.js';
import { StepError } from '../executors/step-error.js';
import { errorText } from '../../base/errors.js';
import { podDns, type ClusterDns, type HostResolver, type PodDns } from '../network/dns-config.js';
import { hostsFile } from '../network/hosts-file.js';
import { podHostname } from '../network/hostname.js';
import { portMappings } from '../network/port-mappings.js';
import { containerResources, type NodeLimits } from '../resources/linux-resources.js';
import type { PodCgroups } from '../resources/pod-cgroups.js';
import type { VolumeManager } from '../volumes/volume-manager.js';
import { resolveEnvironment, type EnvironmentSources } from './environment.js';
import { expand } from './expand.js';
import {
  containerSecurityContext,
  sandboxSecurityContext,
  type ImageUser,
  type SecurityDefaults,
} from './security-context.js';
import type { PodFiles } from './pod-files.js';
import { inUserNamespace, withUsers, type UserNamespaces } from './user-namespaces.js';

export interface ConfigBuilderOptions {
  readonly podLogsDir: string;
  readonly clusterDns: ClusterDns;
  readonly security: SecurityDefaults;
  readonly node: NodeLimits;
}

/** What was granted to a container at admission. */
export interface ContainerGrants {
  readonly devices: readonly {
    readonly hostPath: string;
    readonly containerPath: string;
    readonly permissions: string;
  }[];
  readonly mounts: readonly Mount[];
  readonly envs: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly cdiDevices: readonly string[];
  readonly cpuset?: string | undefined;
  readonly cpusetMems?: string | undefined;
}

export interface ConfigBuilderDeps {
  readonly cgroups: PodCgroups;
  readonly volumes: VolumeManager;
  readonly files: PodFiles;
  readonly users: UserNamespaces;
  environment(podIps: readonly string[]): EnvironmentSources;
  /** User of the image, from the image service. */
  imageUser(imageId: string, signal: AbortSignal): Promise<ImageUser>;
  runtimeClass(name: string, signal: AbortSignal): Promise<RuntimeClass | undefined>;
  hostResolver(): HostResolver;
  nodeHosts(signal: AbortSignal): Promise<string>;
  grants(pod: Pod, container: string): ContainerGrants;
  /** Running id of the container an ephemeral one targets. */
  runningId(pod: Pod, container: string): string | undefined;
}

/** Specs into CRI configurations, field by field as facts 8.2b lists them. */
export class CriConfigBuilder implements ConfigBuilder {
  readonly #options: ConfigBuilderOptions;
  readonly #deps: ConfigBuilderDeps;

  constructor(options: ConfigBuilderOptions, deps: ConfigBuilderDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async sandbox(
    pod: Pod,
    attempt: number,
    signal: AbortSignal,
  ): Promise<{ config: PodSandboxConfig; runtimeHandler: string; notes: PodDns['notes'] }> {
    const { name = '', namespace = 'default', uid = '', labels = {}, annotations = {} } = pod.metadata ?? {};
    const runtimeHandler = await this.#handler(pod, signal);
    const host = pod.spec?.dnsPolicy === 'None' ? noResolver : this.#deps.hostResolver();
    const dns = podDns(pod, host, this.#options.clusterDns);
    const users = await this.#deps.users.assign(pod, runtimeHandler, signal);
    const security = sandboxSecurityContext(pod, this.#options.security);
    const config: PodSandboxConfig = {
      metadata: { name, namespace, uid, attempt },
      hostname: podHostname(pod, this.#options.clusterDns.domain).hostname,
      logDirectory: join(this.#options.podLogsDir, `${namespace}_${name}_${uid}`),
      dnsConfig: dns.config,
      portMappings: pod.spec?.hostNetwork === true ? [] : portMappings(pod),
      labels: {
        ...labels,
        [criLabels.podName]: name,
        [criLabels.podNamespace]: namespace,
        [criLabels.podUid]: uid,
      },
      annotations,
      linux: {
        cgroupParent: this.#deps.cgroups.parentOf(pod),
        securityContext: { ...security, namespaceOptions: withUsers(security.namespaceOptions, users) },
        sysctls: Object.fromEntries(
          (pod.spec?.securityContext?.sysctls ?? []).map((sysctl) => [sysctl.name.replaceAll('/', '.'), sysctl.value]),
        ),
      },
    };
    return { config, runtimeHandler, notes: dns.notes };
  }

  resources(pod: Pod, container: Container | EphemeralContainer): LinuxContainerResources {
    const { cpuset, cpusetMems } = this.#deps.grants(pod, container.name);
    return {
      ...containerResources(pod, container, this.#options.node),
      ...(cpuset === undefined ? {} : { cpusetCpus: cpuset }),
      ...(cpusetMems === undefined ? {} : { cpusetMems }),
    };
  }

  async container(request: ContainerRequest, signal: AbortSignal): Promise<ContainerConfig> {
    try {
      return inUserNamespace(await this.#container(request, signal), this.#deps.users.of(request.pod));
    } catch (err) {
      signal.throwIfAborted();
      throw err instanceof StepError ? err : new StepError('CreateContainerConfigError', errorText(err), err);
    }
  }

  async #container(request: ContainerRequest, signal: AbortSignal): Promise<ContainerConfig> {
    const { pod, restartCount, imageId, podIps } = request;
    const { container } = request.container;
    const grants = this.#deps.grants(pod, container.name);
    const user = await this.#deps.imageUser(imageId, signal);
    const targetId = this.#targetId(pod, container);
    const security = containerSecurityContext(
      pod,
      container,
      user,
      this.#deps.volumes.supplementalGroups(pod),
      targetId,
      this.#options.security,
    );
    const env = await resolveEnvironment(pod, container, this.#deps.environment(podIps), signal);
    const expanded = (text: string): string => expand(text, (name) => env.get(name));
    const volumes = await this.#deps.volumes.forContainer(pod, container, env, signal);
    const { mounts: fileMounts } = await this.#files(request, signal);
    return {
      metadata: { name: container.name, attempt: restartCount },
      image: { image: imageId, userSpecifiedImage: container.image ?? '' },
      command: (container.command ?? []).map(expanded),
      args: (container.args ?? []).map(expanded),
      workingDir: container.workingDir ?? '',
      envs: [...Object.entries(grants.envs), ...env].map(([key, value]) => ({ key, value: Buffer.from(value) })),
      mounts: [...grants.mounts, ...volumes.mounts, ...fileMounts],
      devices: [...grants.devices, ...volumes.devices],
      CDIDevices: grants.cdiDevices.map((name) => ({ name })),
      labels: containerLabels(pod, container),
      annotations: { ...grants.annotations, ...containerAnnotations(pod, container, restartCount) },
      logPath: join(container.name, `${restartCount}.log`),
      stdin: container.stdin ?? false,
      stdinOnce: container.stdinOnce ?? false,
      tty: container.tty ?? false,
      ...stopSignal(container),
      linux: {
        securityContext: security,
        resources: this.resources(pod, container),
      },
    };
  }

  /** Of the container whose processes an ephemeral one is to see; until that runs there is nothing to join. */
  #targetId(pod: Pod, container: Container | EphemeralContainer): string | undefined {
    const target = 'targetContainerName' in container ? container.targetContainerName : undefined;
    if (!target) return undefined;
    const id = this.#deps.runningId(pod, target);
    if (id === undefined)
      throw new StepError('CreateContainerConfigError', `unable to find target container ${target}: it does not run`);
    return id;
  }

  /** /etc/hosts and the termination message file, unless the container mounts its own there. */
  async #files(request: ContainerRequest, signal: AbortSignal): Promise<{ mounts: Mount[] }> {
    const { pod, podIps } = request;
    const { container } = request.container;
    const taken = new Set((container.volumeMounts ?? []).map((mount) => mount.mountPath.replace(/\/+$/, '')));
    const mounts: Mount[] = [];
    const hostNetwork = pod.spec?.hostNetwork === true;
    if (!taken.has('/etc/hosts') && (podIps.length > 0 || hostNetwork)) {
      const names = podHostname(pod, this.#options.clusterDns.domain);
      const nodeHosts = hostNetwork ? await this.#deps.nodeHosts(signal) : '';
      const hostPath = this.#deps.files.writeHosts(pod, hostsFile(pod, names, podIps, nodeHosts));
      mounts.push({ containerPath: '/etc/hosts', hostPath });
    }
    const messagePath = container.terminationMessagePath ?? '/dev/termination-log';
    if (messagePath !== '') {
      const hostPath = this.#deps.files.makeTerminationLog(pod, container.name);
      mounts.push({ containerPath: absolute(messagePath), hostPath });
    }
    return { mounts };
  }

  async #handler(pod: Pod, signal: AbortSignal): Promise<string> {
    const name = pod.spec?.runtimeClassName;
    if (!name) return '';
    const found = await this.#deps.runtimeClass(name, signal);
    if (!found) throw new StepError('FailedCreatePodSandBox', `RuntimeClass "${name}" not found`);
    return found.handler;
  }
}

/** A pod that brings its own does not depend on what the host has. */
const noResolver: HostResolver = { servers: [], searches: [], options: [] };

const absolute = (path: string): string => (path === '' || path.startsWith('/') ? path : `/${path}`);

function containerLabels(pod: Pod, container: Container | EphemeralContainer): Record<string, string> {
  return {
    [criLabels.podName]: pod.metadata?.name ?? '',
    [criLabels.podNamespace]: pod.metadata?.namespace ?? 'default',
    [criLabels.podUid]: pod.metadata?.uid ?? '',
    [criLabels.containerName]: container.name,
  };
}

/** CRI writes `SIGRTMIN+3` as `SIGRTMINPLUS3`. Without one of its own a container has its image's. */
function stopSignal({ lifecycle }: Container | EphemeralContainer): Pick<ContainerConfig, 'stopSignal'> {
  const name = lifecycle?.stopSignal?.replace('+', 'PLUS').replace('-', 'MINUS');
  return name === undefined ? {} : { stopSignal: name as Signal };
}

/** What a later agent needs to end or judge this container without its spec (facts 8.2). */
function containerAnnotations(
  pod: Pod,
  container: Container | EphemeralContainer,
  restartCount: number,
): Record<string, string> {
  const annotations: Record<string, string> = {
    [criAnnotations.containerHash]: containerHash(container),
    [criAnnotations.restartCount]: String(restartCount),
    [criAnnotations.terminationMessagePath]: absolute(container.terminationMessagePath ?? '/dev/termination-log'),
    [criAnnotations.terminationMessagePolicy]: container.terminationMessagePolicy ?? 'File',
    [criAnnotations.podTerminationGracePeriod]: String(pod.spec?.terminationGracePeriodSeconds ?? 30),
  };
  const { deletionGracePeriodSeconds } = pod.metadata ?? {};
  if (deletionGracePeriodSeconds !== undefined)
    annotations[criAnnotations.podDeletionGracePeriod] = String(deletionGracePeriodSeconds);
  if (container.lifecycle?.preStop)
    annotations[criAnnotations.preStopHandler] = JSON.stringify(container.lifecycle.preStop);
  if (container.ports && container.ports.length > 0)
    annotations[criAnnotations.containerPorts] = JSON.stringify(container.ports);
  return annotations;
}
