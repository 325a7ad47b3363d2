import type { CsiDriverInfo, FlexVolumeDriverStatus, PluginStatus } from '../../csi/index.js';
import type { ResourceStatus } from '../../deviceplugin/index.js';

/** A plugin of this node and how it is, for people. */
export interface PluginReport {
  readonly interface: string;
  readonly name: string;
  readonly version: string;
  readonly ready: boolean;
  readonly message: string;
}

export interface PluginSources {
  readonly sockets: readonly PluginStatus[];
  readonly csi: readonly CsiDriverInfo[];
  readonly flexVolumes: readonly FlexVolumeDriverStatus[];
  readonly devices: readonly ResourceStatus[];
  readonly pools: ReadonlySet<string>;
  readonly dra: readonly string[];
  /** Things that people should know and that belong to no one plugin. */
  readonly notes: readonly PluginReport[];
}

/** One row for each plugin that is or was here, and for each socket that got no further. */
export function pluginReports(sources: PluginSources): readonly PluginReport[] {
  const { csi, flexVolumes, devices, dra, sockets, notes } = sources;
  return [
    ...csi.map((driver) => csiReport(driver, sockets)),
    ...flexVolumes.map(flexReport),
    ...devices.map((device) => deviceReport(device, sources.pools)),
    ...dra.map((name) => ({ interface: 'dra', name, version: '', ready: true, message: '' })),
    ...sockets.flatMap((socket) => socketReport(socket, csi)),
    ...notes,
  ];
}

function csiReport(
  { name, endpoint, state, lastError }: CsiDriverInfo,
  sockets: readonly PluginStatus[],
): PluginReport {
  const socket = sockets.find(({ state: each }) => 'plugin' in each && each.plugin?.name === name);
  const versions = socket && 'plugin' in socket.state ? (socket.state.plugin?.versions ?? []) : [];
  const row = { interface: 'csi', name, version: versions.join(','), ready: state.kind === 'ready' };
  const words = lastError === undefined ? state.kind : `${state.kind}: ${lastError}`;
  return { ...row, message: state.kind === 'ready' ? endpoint : words };
}

function flexReport({ name, program, state }: FlexVolumeDriverStatus): PluginReport {
  const row = { interface: 'flexvolume', name, version: '' };
  if (state.kind === 'ready') return { ...row, ready: true, message: program };
  return { ...row, ready: false, message: 'reason' in state ? `${state.kind}: ${state.reason}` : state.kind };
}

function deviceReport(status: ResourceStatus, pools: ReadonlySet<string>): PluginReport {
  const { resource, capacity, allocatable, inUse, state, reason } = status;
  const counts = `${allocatable} of ${capacity} healthy, ${inUse} in use`;
  const where = pools.has(resource) ? ' (device pool)' : '';
  const row = { interface: 'device', name: resource, version: 'v1beta1', ready: state === 'ready' };
  return { ...row, message: reason === undefined ? `${counts}${where}` : `${reason}; ${counts}` };
}

/** Sockets whose plugin shows nowhere else. */
function socketReport({ socketPath, state }: PluginStatus, csi: readonly CsiDriverInfo[]): PluginReport[] {
  if (state.kind === 'registered') return [];
  const plugin = 'plugin' in state ? state.plugin : undefined;
  if (plugin && csi.some(({ name }) => name === plugin.name)) return [];
  const message = state.kind === 'failed' ? state.reason : `${state.kind}, attempt ${state.attempt}`;
  const name = plugin?.name ?? socketPath;
  return [{ interface: 'registration', name, version: plugin?.versions.join(',') ?? '', ready: false, message }];
}
