import { readdir, stat } from 'node:fs/promises';
import { errnoOf } from '../../../base/errors.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import type { OciDevice, OciDeviceRule } from '../oci-spec/oci-types.js';

export interface ContainerDevices {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
}

/** The asked-for device nodes; a folder stands for every node below it. */
export async function requestedDevices(asked: readonly v1.Device[]): Promise<ContainerDevices> {
  const devices: OciDevice[] = [];
  const rules: OciDeviceRule[] = [];
  for (const device of asked) {
    const hostPath = device.hostPath ?? '';
    const containerPath = device.containerPath || hostPath;
    const found = await devicesAt(hostPath, containerPath);
    if (found.length === 0) throw criError('failed-precondition', `create container: ${hostPath} is not a device`);
    for (const node of found) {
      devices.push(node);
      if (node.type !== 'p') {
        rules.push({
          allow: true,
          type: node.type,
          major: node.major,
          minor: node.minor,
          access: device.permissions || 'rwm',
        });
      }
    }
  }
  return { devices, rules };
}

/** Every device of the machine, for a privileged container; the container has its own terminals and message queues. */
export async function hostDevices(): Promise<readonly OciDevice[]> {
  const own = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', 'ptmx', 'stdin', 'stdout', 'stderr', 'core']);
  const names = (await readdir('/dev')).filter((name) => !own.has(name));
  const found = await Promise.all(names.map((name) => devicesAt(`/dev/${name}`, `/dev/${name}`)));
  return found.flat();
}

async function devicesAt(hostPath: string, containerPath: string): Promise<OciDevice[]> {
  let info: Awaited<ReturnType<typeof stat>>;
  try {
    info = await stat(hostPath);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  }
  if (info.isDirectory()) {
    const names = await readdir(hostPath);
    return (
      await Promise.all(names.map((name) => devicesAt(`${hostPath}/${name}`, `${containerPath}/${name}`)))
    ).flat();
  }
  const type = info.isCharacterDevice() ? 'c' : info.isBlockDevice() ? 'b' : undefined;
  if (type === undefined) return [];
  return [
    {
      path: containerPath,
      type,
      ...deviceNumber(BigInt(info.rdev)),
      fileMode: info.mode & 0o7777,
      uid: info.uid,
      gid: info.gid,
    },
  ];
}

/** Linux's 64-bit device number (makedev(3)). */
export function deviceNumber(rdev: bigint): { major: number; minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn)),
  };
}
