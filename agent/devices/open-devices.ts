import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import { FlexVolumeRegistry, PluginWatcher, type CsiDrivers } from '../../csi/index.js';
import {
  checkPools,
  DeviceManager,
  DraManager,
  servePodResources,
  type ResourceCapacity,
  type ResourceClaim,
} from '../../deviceplugin/index.js';
import type { Pod, Quantity } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { Lifetimes } from '../lifetimes.js';
import type { DeviceCounts } from './device-counts.js';
import { openStorageDrivers } from '../volumes/drivers/open-storage-drivers.js';
import { PodDevices, type PodDevicesUsers } from './pod-devices.js';
import { podResourcesFacts, type ExclusiveResources } from './pod-resources-facts.js';
import { pluginReports, type PluginReport } from './plugin-rows.js';

export interface OpenDevicesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly events: EventRecorder;
  readonly controlPlane: Pick<ControlPlane, 'get' | 'watch' | 'writeCsiNode' | 'markNode' | 'removeResourceSlices'>;
  readonly metrics: DeviceCounts;
}

export interface DevicesUsers extends PodDevicesUsers {
  /** Pods that are not over. */
  activePods(): readonly Pod[];
  /** CPUs and memory containers have for themselves; none where nobody hands them out. */
  readonly exclusive?: ExclusiveResources | undefined;
}

/** Everything that plugins bring to this node: devices, claims, storage drivers. */
export interface Devices extends AsyncDisposable {
  readonly pods: PodDevices;
  readonly csi: CsiDrivers;
  readonly flexVolumes: FlexVolumeRegistry;
  /** From now on pods are woken and plugins taken in. */
  start(users: DevicesUsers): void;
  /** Extended resources as the Node object tells them: all devices, and those that can be handed out. */
  amounts(): { readonly capacity: Amounts; readonly allocatable: Amounts };
  /**
   * What pods are measured against at admission. Health does not count: whether a device can be had is the device manager's to say;
   * and a resource whose plugin is still awaited is left out, so that its pods wait.
   */
  admissible(): Amounts;
  /** Capacity or allocatable changed, or a CSI driver. */
  onChange(listener: () => void): Disposable;
  /** What storage drivers want known of this node is written again: the node object was made anew. */
  announceAgain(signal: AbortSignal): Promise<void>;
  plugins(): readonly PluginReport[];
}

type Amounts = Readonly<Record<string, Quantity>>;

/** The two managers, absent where devices are turned off. */
interface Managers {
  readonly manager: DeviceManager | undefined;
  readonly dra: DraManager | undefined;
}

/**
 * Opens what plugins talk to. Nothing of gRPC is loaded before a plugin is there. A part that cannot be served is reported and does not stop
 * the agent; device pools that make no sense do, for they are configuration.
 */
export async function openDevices(config: AgentConfig, deps: OpenDevicesDeps, signal: AbortSignal): Promise<Devices> {
  await using opening = new Lifetimes();
  const { log, clock, recorder, run, events, controlPlane, metrics } = deps;
  const { paths, devices } = config;
  const notes: PluginReport[] = [];
  const note = (name: string, message: string): void =>
    void notes.push({ interface: 'device', name, version: '', ready: false, message });
  const managers = await openManagers(config, deps, note, opening, signal);
  const { manager, dra } = managers;
  const pods = opening.use(new PodDevices({ clock, log, events, manager, dra, metrics }));

  const storage = opening.use(openStorageDrivers(config.nodeName, { recorder, clock, log, controlPlane }));
  const { csi } = storage;
  const flexVolumes = opening.use(
    new FlexVolumeRegistry({ folder: paths.volumePluginDir }, { runProgram: run, recorder, clock, log }),
  );
  const watcher = opening.use(
    new PluginWatcher(
      { folder: join(paths.rootDir, 'plugins_registry') },
      {
        handlers: {
          CSIPlugin: csi.handler,
          ...(manager && { DevicePlugin: manager.handler }),
          ...(dra && { DRAPlugin: dra.handler }),
        },
        recorder,
        clock,
        log,
      },
    ),
  );
  const stop = opening.use(new Stop());
  const pools = new Set(devices.pools.map(({ resource }) => resource));
  metrics.gauge(
    'dra_resource_claims_in_use',
    'ResourceClaims in use on this node, by driver; <any> counts all once.',
    () => [...(dra?.claimsInUse() ?? [])].map(([driver, value]) => ({ labels: { driver_name: driver }, value })),
  );
  const owned = opening.release();
  const capacity = (): readonly ResourceCapacity[] => manager?.capacity() ?? [];
  const begin = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (err) {
      log.error({ what, err: errorText(err) }, 'a part for plugins cannot be served');
      note(what, errorText(err));
    }
  };
  return {
    pods,
    csi,
    flexVolumes,
    start(users) {
      pods.connect(users);
      void begin('plugin registration', () => watcher.start());
      void begin('FlexVolume drivers', () => flexVolumes.start());
      if (!manager || !dra) return;
      void begin('pod resources API', async () => {
        const facts = podResourcesFacts(manager, dra, () => users.activePods(), users.exclusive);
        const server = await servePodResources(paths.rootDir, facts, {
          onRequest: (method, version, failed) => metrics.podResourcesRequest(method, version, failed),
        });
        if (stop.signal.aborted) await server[Symbol.asyncDispose]();
        else owned.use(server);
      });
    },
    amounts: () => ({
      capacity: amountsOf(capacity(), (each) => each.capacity),
      allocatable: amountsOf(capacity(), (each) => each.allocatable),
    }),
    admissible: () => {
      const known = (manager?.status() ?? []).filter((each) => each.capacity > 0);
      return Object.fromEntries(known.map((each) => [each.resource, String(Math.max(each.capacity, each.inUse))]));
    },
    onChange(listener) {
      const ends = [
        manager?.subscribe((change) => change.capacity && listener()),
        { [Symbol.dispose]: csi.onChange(() => listener()) },
      ];
      return {
        [Symbol.dispose]: () => {
          for (const end of ends) end?.[Symbol.dispose]();
        },
      };
    },
    announceAgain: (asked) => storage.announceAgain(asked),
    plugins: () =>
      pluginReports({
        sockets: watcher.list(),
        csi: csi.list(),
        flexVolumes: flexVolumes.list(),
        devices: manager?.status() ?? [],
        pools,
        dra: dra?.drivers ?? [],
        notes: [...notes, ...checkpointNotes(managers)],
      }),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

async function openManagers(
  { paths, devices, cluster }: AgentConfig,
  { log, clock, recorder, controlPlane }: OpenDevicesDeps,
  note: (name: string, message: string) => void,
  opening: Lifetimes,
  signal: AbortSignal,
): Promise<Managers> {
  if (!devices.enabled) return { manager: undefined, dra: undefined };
  checkPools(devices.pools);
  const options = { root: paths.rootDir, numaNodes: await numaNodes(), pools: devices.pools, graceMs: devices.graceMs };
  const manager = opening.use(new DeviceManager(options, { clock, recorder, log }));
  const readClaim = async (namespace: string, name: string, asked: AbortSignal): Promise<ResourceClaim> => {
    const claim = await controlPlane.get('ResourceClaim', namespace, name, asked);
    if (!claim) throw new Error(`ResourceClaim ${namespace}/${name} not found`);
    const { uid = '', ownerReferences = [] } = claim.metadata ?? {};
    return { metadata: { uid, name, namespace, ownerReferences }, status: claim.status };
  };
  const removeSlices = (driver: string | undefined, asked: AbortSignal): Promise<void> =>
    controlPlane.removeResourceSlices(driver, asked);
  const dra = opening.use(
    new DraManager({ root: paths.rootDir }, { clock, recorder, log, readClaim, removeSlices: cluster && removeSlices }),
  );
  for (const [what, start] of [
    ['device plugins', () => manager.start(signal)],
    ['dynamic resource allocation', () => dra.start()],
  ] as const) {
    try {
      await start();
    } catch (err) {
      signal.throwIfAborted();
      log.error({ what, err: errorText(err) }, 'a part for plugins cannot be served');
      note(what, errorText(err));
    }
  }
  return { manager, dra };
}

function checkpointNotes({ manager, dra }: Managers): PluginReport[] {
  return [...(manager?.notes ?? []), ...(dra?.notes ?? [])].map((message) => {
    return { interface: 'device', name: 'checkpoint', version: '', ready: true, message };
  });
}

const amountsOf = (all: readonly ResourceCapacity[], amount: (each: ResourceCapacity) => number): Amounts =>
  Object.fromEntries(all.map((each) => [each.resource, String(amount(each))]));

/** The machine's NUMA nodes; one where the kernel does not tell of any. */
async function numaNodes(): Promise<readonly number[]> {
  const names = await readdir('/sys/devices/system/node').catch(() => []);
  const nodes = names.flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  return nodes.length > 0 ? nodes.sort((a, b) => a - b) : [0];
}

/** Aborts what still runs when its owner ends. */
class Stop implements Disposable {
  readonly #controller = new AbortController();

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#controller.abort(new DOMException('the agent stops', 'AbortError'));
  }
}
