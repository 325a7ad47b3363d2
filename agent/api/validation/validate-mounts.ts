import type { FieldProblems } from './field-problems.js';
import type { Container, Volume, VolumeMount } from '../generated/types.js';
import { descendingPath, noBacksteps } from './name-rules.js';

export type MountingContainer = Pick<Container, 'volumeMounts' | 'volumeDevices' | 'securityContext'>;

export function validateMounts(
  problems: FieldProblems,
  container: MountingContainer,
  volumes: ReadonlyMap<string, Volume>,
  path: string,
): void {
  const devices = container.volumeDevices ?? [];
  const taken = new Set<string>();
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const at = `${path}.volumeMounts[${index}]`;
    if (mount.name === '') problems.required(`${at}.name`);
    else if (!volumes.has(mount.name))
      problems.notFound(`${at}.name`, mount.name, 'no volume of the pod has this name');
    if (mount.mountPath === '') problems.required(`${at}.mountPath`);
    else if (taken.has(mount.mountPath)) problems.invalid(`${at}.mountPath`, mount.mountPath, 'must be unique');
    taken.add(mount.mountPath);
    if (devices.some((device) => device.name === mount.name)) {
      problems.invalid(`${at}.name`, mount.name, 'must not already exist in volumeDevices');
    }
    if (devices.some((device) => device.devicePath === mount.mountPath)) {
      problems.invalid(`${at}.mountPath`, mount.mountPath, 'must not already exist as a path in volumeDevices');
    }
    validateSubPath(problems, mount, at);
    validateMountModes(problems, mount, container, at);
  }
  validateDevices(problems, container, volumes, `${path}.volumeDevices`);
}

function validateSubPath(problems: FieldProblems, mount: VolumeMount, path: string): void {
  const { subPath = '', subPathExpr = '' } = mount;
  if (subPath !== '') problems.rules(`${path}.subPath`, subPath, descendingPath(subPath));
  if (subPathExpr === '') return;
  if (subPath !== '')
    problems.invalid(`${path}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive');
  problems.rules(`${path}.subPathExpr`, subPathExpr, descendingPath(subPathExpr));
}

function validateMountModes(
  problems: FieldProblems,
  mount: VolumeMount,
  container: MountingContainer,
  path: string,
): void {
  if (mount.mountPropagation === 'Bidirectional' && container.securityContext?.privileged !== true) {
    problems.forbidden(
      `${path}.mountPropagation`,
      'Bidirectional mount propagation is available only to privileged containers',
    );
  }
  if (mount.recursiveReadOnly === undefined || mount.recursiveReadOnly === 'Disabled') return;
  if (mount.readOnly !== true)
    problems.forbidden(`${path}.recursiveReadOnly`, 'may only be specified when readOnly is true');
  if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None') {
    problems.forbidden(
      `${path}.recursiveReadOnly`,
      'may only be specified when mountPropagation is None or not specified',
    );
  }
}

function validateDevices(
  problems: FieldProblems,
  container: MountingContainer,
  volumes: ReadonlyMap<string, Volume>,
  path: string,
): void {
  const names = new Set<string>();
  const paths = new Set<string>();
  for (const [index, { name, devicePath }] of (container.volumeDevices ?? []).entries()) {
    const at = `${path}[${index}]`;
    const volume = volumes.get(name);
    if (name === '') problems.required(`${at}.name`);
    else if (volume === undefined) problems.notFound(`${at}.name`, name, 'no volume of the pod has this name');
    else if (volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined) {
      problems.invalid(
        `${at}.name`,
        name,
        'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
      );
    }
    if (names.has(name)) problems.invalid(`${at}.name`, name, 'must be unique');
    names.add(name);
    if (devicePath === '') problems.required(`${at}.devicePath`);
    else problems.rules(`${at}.devicePath`, devicePath, noBacksteps(devicePath));
    if (paths.has(devicePath)) problems.invalid(`${at}.devicePath`, devicePath, 'must be unique');
    paths.add(devicePath);
  }
}
