import { posix } from 'node:path';
import type { OciDevice, OciDeviceRule, OciHook, OciMount, OciSpec } from './oci-spec.js';
import type { ResolvedDeviceNode, ResolvedEdits } from './resolved-edits.js';

/** A new specification with the edits in it; the given one is not changed. The same edits twice are the edits once. */
export function applyContainerEdits<S extends OciSpec>(spec: S, edits: ResolvedEdits): S {
  const user = spec.process?.user;
  const gids = [...new Set([...(user?.additionalGids ?? []), ...edits.additionalGids])];
  const { intelRdt, netDevices } = edits;
  const edited: OciSpec = {
    ...spec,
    process: {
      ...spec.process,
      env: withEnv(spec.process?.env ?? [], edits.env),
      ...(gids.length === 0 ? {} : { user: { ...user, additionalGids: gids } }),
    },
    mounts: withMounts(spec, edits.mounts),
    ...(edits.hooks.length === 0 ? {} : { hooks: withHooks(spec.hooks ?? {}, edits.hooks) }),
    linux: {
      ...spec.linux,
      devices: withDevices(spec, edits.deviceNodes),
      resources: {
        ...spec.linux?.resources,
        devices: withRules(spec.linux?.resources?.devices ?? [], edits.deviceNodes),
      },
      ...(intelRdt === undefined ? {} : { intelRdt: rdtOf(intelRdt) }),
      ...(netDevices.length === 0
        ? {}
        : {
            netDevices: {
              ...spec.linux?.netDevices,
              ...Object.fromEntries(netDevices.map(({ hostInterfaceName, name }) => [hostInterfaceName, { name }])),
            },
          }),
    },
  };
  // All that `S` has beyond `OciSpec` came along with the spreads.
  return edited as S;
}

/** A variable that is there is set anew in its place; the others follow. */
function withEnv(env: readonly string[], added: readonly string[]): readonly string[] {
  const byName = new Map(env.map((entry) => [entry.split('=')[0] ?? entry, entry]));
  for (const entry of added) byName.set(entry.split('=')[0] ?? entry, entry);
  return [...byName.values()];
}

function withDevices(spec: OciSpec, nodes: readonly ResolvedDeviceNode[]): readonly OciDevice[] {
  // A container that does not run as root could not open a node that belongs to root.
  const { uid: processUid = 0, gid: processGid = 0 } = spec.process?.user ?? {};
  const devices = new Map((spec.linux?.devices ?? []).map((device) => [device.path, device]));
  for (const { path, type, major, minor, fileMode, uid, gid } of nodes) {
    const owner = uid ?? (processUid > 0 ? processUid : undefined);
    const group = gid ?? (processGid > 0 ? processGid : undefined);
    devices.delete(path);
    devices.set(path, {
      path,
      type,
      major,
      minor,
      ...(fileMode === undefined ? {} : { fileMode }),
      ...(owner === undefined ? {} : { uid: owner }),
      ...(group === undefined ? {} : { gid: group }),
    });
  }
  return [...devices.values()];
}

function withRules(rules: readonly OciDeviceRule[], nodes: readonly ResolvedDeviceNode[]): readonly OciDeviceRule[] {
  const added = nodes
    .filter((node) => node.type === 'b' || node.type === 'c')
    .map(({ type, major, minor, access }): OciDeviceRule => ({ allow: true, type, major, minor, access }));
  const same = (a: OciDeviceRule, b: OciDeviceRule): boolean =>
    a.allow === b.allow && a.type === b.type && a.major === b.major && a.minor === b.minor && a.access === b.access;
  return added.reduce<readonly OciDeviceRule[]>(
    (all, rule) => (all.some((other) => same(other, rule)) ? all : [...all, rule]),
    rules,
  );
}

/** Mounts replace those at the same place; parents come before what lies in them. */
function withMounts(spec: OciSpec, added: ResolvedEdits['mounts']): readonly OciMount[] {
  const existing = spec.mounts ?? [];
  if (added.length === 0) return existing;
  const mapIds = spec.linux?.namespaces?.some((namespace) => namespace.type === 'user') === true;
  const mounts = new Map(existing.map((mount) => [mount.destination, mount]));
  for (const { hostPath, containerPath, type, options } of added) {
    const isBind = (options ?? []).some((option) => option === 'bind' || option === 'rbind');
    const hasMap = (options ?? []).some((option) => option === 'idmap' || option === 'ridmap');
    mounts.delete(containerPath);
    mounts.set(containerPath, {
      source: hostPath,
      destination: containerPath,
      ...(type === undefined || type === '' ? {} : { type }),
      // In a user namespace the files would belong to nobody otherwise.
      options: mapIds && isBind && !hasMap ? [...(options ?? []), 'idmap'] : [...(options ?? [])],
    });
  }
  const depth = (mount: OciMount): number => posix.normalize(mount.destination).split('/').filter(Boolean).length;
  return [...mounts.values()].sort((a, b) => depth(a) - depth(b));
}

function withHooks(hooks: NonNullable<OciSpec['hooks']>, added: ResolvedEdits['hooks']): NonNullable<OciSpec['hooks']> {
  const edited: Record<string, readonly OciHook[] | undefined> = { ...hooks };
  for (const { hookName, path, args, env, timeout } of added) {
    const hook: OciHook = {
      path,
      ...(args == null ? {} : { args }),
      ...(env == null ? {} : { env }),
      ...(timeout === undefined ? {} : { timeout }),
    };
    const others = (edited[hookName] ?? []).filter((other) => JSON.stringify(other) !== JSON.stringify(hook));
    edited[hookName] = [...others, hook];
  }
  return edited;
}

function rdtOf(rdt: NonNullable<ResolvedEdits['intelRdt']>): object {
  return Object.fromEntries(Object.entries(rdt).filter(([, value]) => value !== undefined && value !== null));
}
