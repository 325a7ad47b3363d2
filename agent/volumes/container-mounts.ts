import type { Mount } from '../../proto/generated/cri-v1.js';
import type { Container, EphemeralContainer, Pod, VolumeMount } from '../api/index.js';
import { expand } from '../containers/expand.js';
import type { SubPathRequest } from './subpaths.js';
import { VolumeProblem } from './volume-error.js';
import type { ContainerVolumes, VolumeDevice } from './volume-manager.js';
import type { PodVolume, PublishedVolume } from './volume-plugin.js';

export interface MountedVolume {
  readonly volume: PodVolume;
  readonly published: PublishedVolume;
  /** The runtime is to give its files the container's SELinux label. */
  readonly relabel?: boolean | undefined;
}

export interface ContainerMountFacts {
  readonly pod: Pod;
  readonly container: Container | EphemeralContainer;
  readonly env: ReadonlyMap<string, string>;
  readonly volumes: ReadonlyMap<string, MountedVolume>;
  readonly recursiveReadOnly: boolean;
  subPathTarget(volume: PodVolume, container: string, index: number): string;
}

export interface ContainerMountPlan extends ContainerVolumes {
  /** To be bound before the container is created. */
  readonly subPaths: readonly SubPathRequest[];
}

/** What one container mounts and which parts of volumes must be bound for it; pure. */
export function planContainerMounts(facts: ContainerMountFacts): ContainerMountPlan {
  const subPaths: SubPathRequest[] = [];
  const mounts = (facts.container.volumeMounts ?? []).map((mount, index) => oneMount(mount, index, facts, subPaths));
  const devices = (facts.container.volumeDevices ?? []).map(({ name, devicePath }): VolumeDevice => {
    const { volume, published } = find(facts, name);
    if (published.device === undefined)
      throw new VolumeProblem(
        'refused',
        `cannot find volume "${name}" to pass into container "${facts.container.name}"`,
      );
    return {
      hostPath: published.device,
      containerPath: devicePath,
      permissions: volume.readOnly || published.readOnly ? 'r' : 'mrw',
    };
  });
  return { mounts, devices, subPaths };
}

function oneMount(mount: VolumeMount, index: number, facts: ContainerMountFacts, subPaths: SubPathRequest[]): Mount {
  const { volume, published, relabel = false } = find(facts, mount.name);
  const subPath = subPathOf(mount, facts.env);
  const common: Mount = {
    containerPath: mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`,
    readonly: (mount.readOnly ?? false) || published.readOnly || volume.readOnly,
    propagation: propagations[mount.mountPropagation ?? 'None'],
    recursiveReadOnly: recursiveReadOnly(mount, facts.recursiveReadOnly),
    ...(relabel ? { selinuxRelabel: true } : {}),
  };
  if (published.image) return { ...common, image: published.image, imageSubPath: subPath };
  if (published.hostPath === undefined)
    throw new VolumeProblem(
      'refused',
      `cannot find volume "${mount.name}" to mount into container "${facts.container.name}"`,
    );
  if (subPath === '') return { ...common, hostPath: published.hostPath };
  const target = facts.subPathTarget(volume, facts.container.name, index);
  subPaths.push({ root: published.hostPath, subPath, target });
  return { ...common, hostPath: target };
}

const propagations = {
  None: 'PROPAGATION_PRIVATE',
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
} as const;

function find({ volumes, container }: ContainerMountFacts, name: string): MountedVolume {
  const found = volumes.get(name);
  if (!found)
    throw new VolumeProblem('unavailable', `cannot find volume "${name}" to mount into container "${container.name}"`);
  return found;
}

/** Empty when the whole volume is mounted. */
export function subPathOf(mount: VolumeMount, env: ReadonlyMap<string, string>): string {
  const path = mount.subPathExpr ? expandSubPath(mount.subPathExpr, env) : (mount.subPath ?? '');
  if (path.startsWith('/'))
    throw new VolumeProblem('refused', `error SubPath \`${path}\` must not be an absolute path`);
  if (path.split('/').includes('..'))
    throw new VolumeProblem('refused', `unable to provision SubPath \`${path}\`: must not contain '..'`);
  return path;
}

/** Unlike in commands, a variable that is missing or empty is an error: the path would name another folder. */
function expandSubPath(expression: string, env: ReadonlyMap<string, string>): string {
  const missing = new Set<string>();
  const path = expand(expression, (name) => {
    const value = env.get(name) ?? '';
    if (value === '') missing.add(name);
    return value;
  });
  if (missing.size > 0) throw new VolumeProblem('refused', `missing value for ${[...missing].sort().join(', ')}`);
  return path;
}

function recursiveReadOnly(
  { name, readOnly, mountPropagation, recursiveReadOnly }: VolumeMount,
  able: boolean,
): boolean {
  if (recursiveReadOnly === undefined || recursiveReadOnly === 'Disabled') return false;
  const asked = `volume "${name}" requested recursive read-only mode, but it is not`;
  if (readOnly !== true) throw new VolumeProblem('refused', `${asked} read-only`);
  if (mountPropagation !== undefined && mountPropagation !== 'None')
    throw new VolumeProblem('refused', `${asked} compatible with propagation "${mountPropagation}"`);
  if (recursiveReadOnly === 'Enabled' && !able)
    throw new VolumeProblem('unsupported', `${asked} supported by the runtime`);
  return able;
}
