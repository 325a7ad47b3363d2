import { writeFileSync } from 'node:fs';
import { chown, mkdir, stat } from 'node:fs/promises';
import { errnoOf } from '../../../base/errors.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import { mustRun } from '../host/oci-program.js';
import { pathInRoot } from '../host/path-in-root.js';
import type { StoredImage } from '../images/image-store.js';
import { buildCapabilities } from '../oci-spec/capabilities.js';
import { containerCgroup, scopeAnnotations } from '../oci-spec/cgroup-path.js';
import { containerSpec, namespaceList, type NamespacePaths } from '../oci-spec/container-spec.js';
import { buildCommand, buildEnvironment } from '../oci-spec/environment.js';
import { buildMounts, canonicalPath, rootfsPropagation } from '../oci-spec/mounts.js';
import { idMappings } from '../oci-spec/id-mappings.js';
import type { OciProcess, OciRlimit, OciSpec } from '../oci-spec/oci-types.js';
import { buildResources } from '../oci-spec/resources.js';
import type { ResolvedUser } from '../oci-spec/users.js';
import { sandboxFiles, hostsFile } from '../sandboxes/sandbox-files.js';
import { isMapped } from '../sandboxes/user-namespace-request.js';
import type { ContainerEntry } from '../state/container-entry.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';
import { hostDevices, requestedDevices } from './container-devices.js';
import { resolveMounts, type MountPlan } from './container-mounts.js';
import { apparmorProfile, seccompFilter, selinuxLabels } from './container-security.js';
import { containerUser } from './container-user.js';
import { relabelMounts } from './relabel-mounts.js';

export interface BundleParts {
  readonly entry: ContainerEntry;
  readonly sandbox: SandboxEntry;
  readonly config: v1.ContainerConfig;
  readonly image: StoredImage;
  readonly mounts: MountPlan;
}

/** Decides the container's OCI specification and writes it; the root must be mounted. */
export async function writeBundle(
  context: RuntimeContext,
  parts: BundleParts,
  signal: AbortSignal,
): Promise<ResolvedUser> {
  const { entry, config, image } = parts;
  const user = await containerUser(context, config, image, context.layout.rootfs(entry.id));
  let spec = await bundleSpec(context, parts, user, signal);
  const cdi = cdiDevices(config);
  if (cdi.length > 0) {
    if (context.deps.applyCdi === undefined) {
      throw criError('unimplemented', `create container: CDI devices ${cdi.join(', ')}: no CDI support configured`);
    }
    spec = await context.deps.applyCdi(cdi, spec, signal);
  }
  writeFileSync(`${context.layout.bundle(entry.id)}/config.json`, JSON.stringify(spec), { mode: 0o600 });
  return user;
}

async function bundleSpec(
  context: RuntimeContext,
  parts: BundleParts,
  user: ResolvedUser,
  signal: AbortSignal,
): Promise<OciSpec> {
  const { entry, sandbox, config } = parts;
  const { host, layout } = context;
  const security = config.linux?.securityContext;
  const privileged = security?.privileged ?? false;
  const labels = selinuxLabels(host.selinux, security?.selinuxOptions, privileged);
  await relabelMounts(entry.record.mounts, labels.mount, context.deps, signal);
  const { userNamespace } = sandbox.record;
  const asked = await resolveMounts(entry.record.mounts, parts.mounts.imageRoots, (mount, imageRoot) =>
    imageRoot === undefined
      ? isMapped(mount, userNamespace, 'create container')
      : // What was mounted for it shows the namespace's ids already; a layer's own folder does not.
        userNamespace !== undefined && !imageRoot.startsWith(layout.bundle(entry.id)),
  );
  const process = await containerProcess(context, parts, user, labels.process);
  const requested = await requestedDevices(config.devices ?? []);
  return containerSpec({
    process,
    rootPath: layout.rootfs(entry.id),
    readonlyRootfs: security?.readonlyRootfs ?? false,
    hostname: sandbox.record.network === 'POD' ? sandbox.record.hostname : undefined,
    mounts: buildMounts(asked, {
      privileged,
      shmPath: sandbox.record.ipc === 'POD' ? layout.shm(sandbox.id) : '/dev/shm',
      ...sandboxFiles(layout, sandbox.id),
      hostsPath: asked.some((mount) => canonicalPath(mount.containerPath) === '/etc/hosts')
        ? undefined
        : hostsFile(layout, sandbox.record),
      readonlyRootfs: security?.readonlyRootfs ?? false,
      imageVolumes: await imageVolumes(context, parts, asked, signal),
    }),
    annotations: {
      ...scopeAnnotations(context.options.cgroupDriver),
      'io.kubernetes.cri.container-type': 'container',
      'io.kubernetes.cri.sandbox-id': sandbox.id,
      'io.kubernetes.cri.sandbox-name': sandbox.record.metadata.name,
      'io.kubernetes.cri.sandbox-namespace': sandbox.record.metadata.namespace,
      'io.kubernetes.cri.container-name': entry.record.metadata.name,
    },
    namespaces: namespaceList(namespacePaths(context, parts, privileged)),
    idMappings: idMappings(sandbox.record),
    cgroupsPath: containerCgroup(context.options.cgroupDriver, sandbox.record.cgroupParent, entry.id).oci,
    resources: buildResources(entry.record.resources, host),
    privileged,
    devices: privileged ? [...(await hostDevices()), ...requested.devices] : requested.devices,
    deviceRules: requested.rules,
    sysctls: sandbox.record.sysctls,
    seccomp: await seccompFilter(context, security, process.capabilities?.bounding ?? []),
    rootfsPropagation: rootfsPropagation(asked),
    maskedPaths: security?.maskedPaths ?? [],
    readonlyPaths: security?.readonlyPaths ?? [],
    mountLabel: labels.mount,
  });
}

async function containerProcess(
  context: RuntimeContext,
  { sandbox, config, image }: BundleParts,
  user: ResolvedUser,
  selinuxLabel: string,
): Promise<OciProcess> {
  const security = config.linux?.securityContext;
  const name = config.metadata?.name ?? '';
  const command = buildCommand({ command: config.command ?? [], args: config.args ?? [] }, image.config);
  if (!command.ok) {
    throw criError('invalid-argument', `create container ${name}: neither the request nor the image names a command`);
  }
  const decoder = new TextDecoder();
  return {
    terminal: config.tty ?? false,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: command.args,
    env: buildEnvironment({
      image: image.config.env,
      requested: (config.envs ?? []).map(({ key = '', value }) => ({ key, value: decoder.decode(value) })),
      hostname: sandbox.record.hostname,
      home: user.home,
      tty: config.tty ?? false,
    }),
    cwd: config.workingDir || image.config.workingDir || '/',
    capabilities: buildCapabilities(security?.capabilities, security?.privileged ?? false, context.host.capabilities),
    rlimits: clampRlimits(context.options.rlimits, context.host.hardLimits),
    noNewPrivileges: security?.noNewPrivs ?? false,
    apparmorProfile: await apparmorProfile(context, security),
    selinuxLabel: selinuxLabel === '' ? undefined : selinuxLabel,
    oomScoreAdj: oomScore(context, config.linux?.resources?.oomScoreAdj),
  };
}

export function clampRlimits(
  wanted: readonly OciRlimit[],
  hardLimits: Readonly<Record<string, number>>,
): readonly OciRlimit[] | undefined {
  if (wanted.length === 0) return undefined;
  return wanted.map((limit) => {
    const most = hardLimits[limit.type] ?? Number.POSITIVE_INFINITY;
    return { type: limit.type, soft: Math.min(limit.soft, most), hard: Math.min(limit.hard, most) };
  });
}

/** A process without CAP_SYS_RESOURCE cannot give a score below its own: the container would fail to start. */
function oomScore(context: RuntimeContext, wanted: number | undefined): number | undefined {
  if (wanted === undefined) return undefined;
  const floor = context.host.oomScoreFloor;
  if (wanted >= floor) return wanted;
  context.sayOnce(
    'oom-score-floor',
    { wanted, given: floor },
    'oom_score_adj raised: without CAP_SYS_RESOURCE it cannot be lower than that of this process',
  );
  return floor;
}

function namespacePaths(
  context: RuntimeContext,
  { sandbox, config }: BundleParts,
  privileged: boolean,
): NamespacePaths {
  const { record } = sandbox;
  const pinned = (type: 'user' | 'net' | 'ipc' | 'uts'): string => context.layout.namespace(sandbox.id, type);
  return {
    user: record.userNamespace === undefined ? undefined : pinned('user'),
    net: record.network === 'POD' ? pinned('net') : undefined,
    ipc: record.ipc === 'POD' ? pinned('ipc') : undefined,
    uts: record.network === 'POD' ? pinned('uts') : undefined,
    pid: pidNamespace(context, sandbox, config.linux?.securityContext?.namespaceOptions),
    cgroup: context.host.cgroupVersion === 2 || !privileged,
  };
}

function pidNamespace(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  options: v1.NamespaceOption | null | undefined,
): NamespacePaths['pid'] {
  const mode = options?.pid ?? 'POD';
  switch (mode) {
    case 'CONTAINER':
      return 'private';
    case 'NODE':
      return undefined;
    case 'TARGET': {
      const target = context.container(options?.targetId);
      if (target.record.sandboxId !== sandbox.id) {
        throw criError('invalid-argument', `create container: target ${target.id} is of another sandbox`);
      }
      if (target.phase.kind !== 'running') {
        throw criError('failed-precondition', `create container: target ${target.id} does not run`);
      }
      return { path: `/proc/${target.phase.init.pid}/ns/pid` };
    }
    case 'POD': {
      if (sandbox.record.pid === 'NODE') return undefined;
      if (sandbox.record.pid === 'CONTAINER') return 'private';
      const init = sandbox.initProcess?.init;
      if (init === undefined) {
        throw criError('failed-precondition', `create container: the PID namespace of sandbox ${sandbox.id} is gone`);
      }
      return { path: `/proc/${init.pid}/ns/pid` };
    }
  }
}

/** A folder of the container's own for each `VOLUME` of the image that no mount covers, filled with what the image has there. */
async function imageVolumes(
  context: RuntimeContext,
  { entry, sandbox, image }: BundleParts,
  asked: readonly { readonly containerPath: string }[],
  signal: AbortSignal,
): Promise<{ containerPath: string; hostPath: string }[]> {
  const covered = new Set(asked.map((mount) => canonicalPath(mount.containerPath)));
  const wanted = image.config.volumes.filter((path) => path !== '' && !covered.has(canonicalPath(path)));
  const volumes: { containerPath: string; hostPath: string }[] = [];
  const root = sandbox.record.userNamespace?.hostId ?? 0;
  for (const [index, containerPath] of wanted.entries()) {
    const source = await pathInRoot(context.layout.rootfs(entry.id), containerPath);
    const hostPath = `${context.layout.container(entry.id)}/volume-${index}`;
    if (await isFolder(source)) {
      await mustRun(['cp', '-a', '--', source, hostPath], `fill image volume ${containerPath}`, context.deps, signal);
    } else {
      await mkdir(hostPath, { mode: 0o755 });
      await chown(hostPath, root, root);
    }
    volumes.push({ containerPath, hostPath });
  }
  return volumes;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return false;
    throw err;
  }
}

function cdiDevices(config: v1.ContainerConfig): string[] {
  const named = (config.CDIDevices ?? []).map((device) => device.name ?? '');
  const annotated = Object.entries(config.annotations ?? {})
    .filter(([key]) => key.startsWith('cdi.k8s.io/'))
    .flatMap(([, value]) => value.split(','));
  return [...new Set([...named, ...annotated])].filter((name) => name !== '');
}
