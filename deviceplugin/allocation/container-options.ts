import type { Grant } from '../devices/grants.js';

/** What a container needs for its devices, over all its resources. */
export interface ContainerDeviceOptions {
  readonly devices: readonly DeviceNodeMapping[];
  readonly mounts: readonly DeviceMount[];
  readonly envs: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Qualified CDI names, each once. */
  readonly cdiDevices: readonly string[];
  /** Where two plugins want different things in one place; the first one won. */
  readonly conflicts: readonly string[];
}

export interface DeviceNodeMapping {
  readonly hostPath: string;
  readonly containerPath: string;
  /** Some of `r`, `w`, `m`. */
  readonly permissions: string;
}

export interface DeviceMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly readOnly: boolean;
}

/** Merges the plugins' answers, resources by name; undefined when the container holds no devices. */
export function mergeResponses(grants: readonly Grant[]): ContainerDeviceOptions | undefined {
  const answered = grants
    .filter((grant) => grant.response !== undefined)
    .sort((a, b) => (a.resource < b.resource ? -1 : 1));
  if (answered.length === 0) return undefined;
  const conflicts: string[] = [];
  const devices = new Map<string, DeviceNodeMapping>();
  const mounts = new Map<string, DeviceMount>();
  const envs = new Map<string, string>();
  const annotations = new Map<string, string>();
  const cdiDevices = new Set<string>();

  const put = <V>(into: Map<string, V>, what: string, key: string, value: V, same: (other: V) => boolean): void => {
    const other = into.get(key);
    if (other === undefined) into.set(key, value);
    else if (!same(other)) conflicts.push(`${what} ${key} is wanted twice with different contents`);
  };
  for (const { response } of answered) {
    for (const device of response?.devices ?? []) {
      const { hostPath = '', containerPath = '', permissions = '' } = device;
      const mapping = { hostPath, containerPath, permissions };
      put(devices, 'device', containerPath, mapping, (other) => other.hostPath === hostPath);
    }
    for (const mount of response?.mounts ?? []) {
      const { hostPath = '', containerPath = '', readOnly = false } = mount;
      const wanted = { hostPath, containerPath, readOnly };
      put(mounts, 'mount', containerPath, wanted, (other) => other.hostPath === hostPath);
    }
    for (const [name, value] of Object.entries(response?.envs ?? {})) {
      put(envs, 'environment variable', name, value, (other) => other === value);
    }
    for (const [name, value] of Object.entries(response?.annotations ?? {})) {
      put(annotations, 'annotation', name, value, (other) => other === value);
    }
    for (const { name = '' } of response?.cdiDevices ?? []) if (name !== '') cdiDevices.add(name);
  }
  return {
    devices: [...devices.values()],
    mounts: [...mounts.values()],
    envs: Object.fromEntries(envs),
    annotations: Object.fromEntries(annotations),
    cdiDevices: [...cdiDevices],
    conflicts,
  };
}
