import { mkdir, stat } from 'node:fs/promises';
import { errorText } from '../../base/errors.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { checkRunAs } from '../contract/check-security.js';
import { checkUnified } from '../contract/check-unified.js';
import { criError } from '../contract/cri-error.js';
import { signalNumber } from '../contract/signals.js';
import { cgroupVersion } from './late-limits.js';
import { containerModes } from './namespace-modes.js';
import {
  containerType,
  dockerLabels,
  toDockerLabels,
  type StoredContainerConfig,
  type StoredSandboxConfig,
} from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { refuseUnsupportedContainer } from './refuse-unsupported.js';
import { securityOptions } from './security-options.js';

export interface ContainerBodyInput {
  readonly sandboxId: string;
  readonly sandbox: StoredSandboxConfig;
  readonly sandboxName: string;
  readonly config: v1.ContainerConfig;
  readonly cgroupParent: string;
  readonly imageId: string;
  readonly logPath: string;
}

/** How much of its own log Docker keeps: enough for what may come while nobody brings it over. */
const dockerLog = { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '5' } };

/** The body of Docker's create call for a CRI container. */
export async function containerBody(context: DockerContext, input: ContainerBodyInput): Promise<object> {
  const { config, sandbox } = input;
  const security = config.linux?.securityContext ?? {};
  checkRunAs(`create container ${config.metadata?.name ?? ''}`, security);
  refuseUnsupportedContainer(config);
  checkUnified(`create container ${config.metadata?.name ?? ''}`, config.linux?.resources, cgroupVersion());
  const stored: StoredContainerConfig = {
    metadata: config.metadata ?? {},
    image: config.image ?? {},
    mounts: config.mounts ?? [],
    hugepages: config.linux?.resources?.hugepageLimits,
    unified: config.linux?.resources?.unified,
  };
  return {
    Image: input.imageId,
    ...((config.command ?? []).length > 0 && { Entrypoint: config.command }),
    ...((config.args ?? []).length > 0 && { Cmd: config.args }),
    Env: (config.envs ?? []).map(({ key = '', value }) => `${key}=${Buffer.from(value ?? []).toString('utf8')}`),
    WorkingDir: config.workingDir ?? '',
    User: user(security),
    Tty: config.tty ?? false,
    OpenStdin: config.stdin ?? false,
    StdinOnce: config.stdinOnce ?? false,
    // The image's own would run beside the pod's probes, again and again; with the other runtimes nobody runs it.
    Healthcheck: { Test: ['NONE'] },
    ...stopSignal(config),
    Labels: toDockerLabels(
      config,
      {
        [dockerLabels.type]: containerType,
        [dockerLabels.sandboxId]: input.sandboxId,
        [dockerLabels.logPath]: input.logPath,
      },
      stored,
    ),
    HostConfig: {
      ...containerModes(security.namespaceOptions ?? {}, sandbox.namespaces, input.sandboxId),
      ...resources(context, config.linux?.resources ?? {}),
      CgroupParent: input.cgroupParent,
      Mounts: await mounts(config, context.files.resolvConfPath(input.sandboxName)),
      Devices: (config.devices ?? []).map(({ hostPath, containerPath, permissions }) => ({
        PathOnHost: hostPath,
        PathInContainer: containerPath,
        CgroupPermissions: permissions,
      })),
      Privileged: security.privileged ?? false,
      CapAdd: security.capabilities?.addCapabilities ?? [],
      CapDrop: security.capabilities?.dropCapabilities ?? [],
      ReadonlyRootfs: security.readonlyRootfs ?? false,
      GroupAdd: (security.supplementalGroups ?? []).map(String),
      SecurityOpt: await securityOptions(security),
      // Always said: an empty list is procMount Unmasked, and Docker would mask its own when it hears none.
      MaskedPaths: security.maskedPaths ?? [],
      ReadonlyPaths: security.readonlyPaths ?? [],
      LogConfig: dockerLog,
      ...(sandbox.runtimeHandler && { Runtime: sandbox.runtimeHandler }),
    },
  };
}

/** By its number: Docker spells real-time signals in another way. */
function stopSignal({ metadata, stopSignal: asked = 'RUNTIME_DEFAULT' }: v1.ContainerConfig): { StopSignal?: string } {
  if (asked === 'RUNTIME_DEFAULT') return {};
  const number = signalNumber(asked);
  if (number === undefined) {
    throw criError('invalid-argument', `create container ${metadata?.name ?? ''}: unknown stop signal ${asked}`);
  }
  return { StopSignal: String(number) };
}

function user(security: v1.LinuxContainerSecurityContext): string {
  const name = security.runAsUser ? String(security.runAsUser.value ?? 0) : (security.runAsUsername ?? '');
  return security.runAsGroup ? `${name === '' ? '0' : name}:${security.runAsGroup.value ?? 0}` : name;
}

export function resources(context: DockerContext, asked: v1.LinuxContainerResources): object {
  const swap = asked.memorySwapLimitInBytes ?? 0;
  const memory = asked.memoryLimitInBytes ?? 0;
  return {
    CpuShares: asked.cpuShares ?? 0,
    CpuPeriod: asked.cpuPeriod ?? 0,
    CpuQuota: asked.cpuQuota ?? 0,
    CpusetCpus: asked.cpusetCpus ?? '',
    CpusetMems: asked.cpusetMems ?? '',
    Memory: memory,
    // Without a word on swap: none beside the memory, as with the other runtimes.
    MemorySwap: swap > 0 ? swap : memory,
    OomScoreAdj: Math.max(asked.oomScoreAdj ?? 0, context.lowestOomScore),
  };
}

/** Private is Docker's own, and is not said: it refuses the word for a folder that holds its own files, such as `/`. */
const propagations = {
  PROPAGATION_PRIVATE: undefined,
  PROPAGATION_HOST_TO_CONTAINER: 'rslave',
  PROPAGATION_BIDIRECTIONAL: 'rshared',
} as const;

async function mounts({ metadata, mounts: asked = [] }: v1.ContainerConfig, resolvConf: string): Promise<object[]> {
  const verb = `create container ${metadata?.name ?? ''}`;
  const list: object[] = [];
  if (!asked.some(({ containerPath }) => containerPath === '/etc/resolv.conf')) {
    list.push({ Type: 'bind', Source: resolvConf, Target: '/etc/resolv.conf' });
  }
  for (const mount of asked) {
    const { hostPath = '', containerPath = '', readonly = false, propagation = 'PROPAGATION_PRIVATE' } = mount;
    if (!hostPath.startsWith('/')) {
      throw criError('invalid-argument', `${verb}: mount ${containerPath}: host path "${hostPath}" is not absolute`);
    }
    await makeMissing(hostPath, `${verb}: mount ${containerPath}`);
    list.push({
      Type: 'bind',
      Source: hostPath,
      Target: containerPath,
      ReadOnly: readonly,
      // Since 25 Docker takes what is mounted below along into a read-only mount, unless told; before, nobody reads this.
      BindOptions: { Propagation: propagations[propagation], ReadOnlyNonRecursive: readonly },
    });
  }
  return list;
}

/** As the other runtimes do, for the hostPath volumes of type "" that rely on it; Docker refuses such a mount. */
async function makeMissing(hostPath: string, what: string): Promise<void> {
  try {
    await stat(hostPath).catch(async () => await mkdir(hostPath, { recursive: true }));
  } catch (err) {
    throw criError('failed-precondition', `${what}: make ${hostPath}: ${errorText(err)}`, err);
  }
}
