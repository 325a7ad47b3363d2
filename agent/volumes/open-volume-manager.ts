import { mkdir } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { DriverCall } from '../../csi/index.js';
import {
  podUidOf,
  type NodeIdentity,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  type PodUid,
  type Quantity,
} from '../api/index.js';
import { ClaimResolver, clusterBinder, type ReadForPod } from './claims/claim-resolver.js';
import { LocalBinder, type LocalBinderDeps, type Reclaim } from './claims/local-binder.js';
import type { ClaimGrowth, ControlPlane } from '../controlplane/control-plane.js';
import type { NodeFields } from '../downward/field-ref.js';
import type { EventRecorder, EventType } from '../events/event-recorder.js';
import type { FaultPoint } from '../fault-point.js';
import { podReference } from '../events/references.js';
import { findPodVolumes, findPresentPods } from './found-volumes.js';
import { PodVolumeManager } from './manager.js';
import { Mounter } from './mounts/mounter.js';
import { shareFolder } from './mounts/share-folder.js';
import { NodeStages, type ReportVolumesInUse, type TellAttached } from './node-stages.js';
import { ObjectWatches, type ClusterNode } from './object-watches.js';
import type { ContentSources } from './payload/content-sources.js';
import { PodCertificates } from './payload/pod-certificates.js';
import { TokenCache } from './payload/token-cache.js';
import { ConfigMapPlugin } from './plugins/config-map.js';
import type { CsiDriverSource } from './plugins/csi/csi-driver-source.js';
import { CsiPlugin } from './plugins/csi/csi-volume.js';
import { csiProvisioner, provisionedName } from './plugins/csi/provision.js';
import { DownwardApiPlugin } from './plugins/downward-api.js';
import { EmptyDirPlugin } from './plugins/empty-dir.js';
import { FcPlugin } from './plugins/fc/fc-volume.js';
import { FlexVolumePlugin, type FlexVolumeDrivers } from './plugins/flex-volume.js';
import { HostPathPlugin } from './plugins/host-path.js';
import { ImagePlugin, type PullVolumeImage } from './plugins/image.js';
import { IscsiPlugin } from './plugins/iscsi/iscsi-volume.js';
import { LocalVolumePlugin } from './plugins/local-volume.js';
import { NfsPlugin } from './plugins/nfs.js';
import { ProjectedPlugin } from './plugins/projected.js';
import { SecretPlugin } from './plugins/secret.js';
import type { PluginContext } from './plugin-context.js';
import { PodMounter } from './pod-mounter.js';
import { readFileContext } from './se-linux.js';
import type { CountOperation } from './storage-operations.js';
import { VolumeUsages } from './usage.js';
import type { VolumeManager } from './volume-manager.js';
import { VolumePaths } from './volume-paths.js';
import { attachVolume } from './volume-error.js';
import type { VolumePlugin } from './volume-plugin.js';

export interface VolumeManagerOptions {
  /** The kubelet's root folder, `/var/lib/kubelet`. */
  readonly rootDir: string;
  readonly nodeName: string;
  /** No cluster: claims are bound, volumes attached and provisioned by the agent itself. False when absent. */
  readonly standalone?: boolean | undefined;
  /** In a cluster: volumes are attached by the agent too, where the driver can be asked to from here. False when absent. */
  readonly attachesHere?: boolean | undefined;
  /** Mounts that containers make below `rootDir` reach the host and each other, also where the machine's own mounts are private. */
  readonly shareRootDir?: boolean | undefined;
  /** The SELinux label of containers' files; the machine's own when absent, and none where SELinux is off. */
  readonly seLinuxFileContext?: string | undefined;
  /** How long a pod waits for a volume before it says what it waits for, while that goes on; ten seconds when absent. */
  readonly patienceMs?: number | undefined;
}

/** A driver that answers sooner needs no words. */
const defaultPatienceMs = 10_000;

/** What the manager needs of drivers besides their calls. */
interface WatchedDrivers {
  onChange(listener: () => void): () => void;
  /** Calls that have not ended. */
  underWay(): readonly DriverCall[];
}

export interface VolumeManagerDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly clock: Clock;
  readonly objects: Pick<ControlPlane, 'get' | 'list' | 'watch' | 'createToken'>;
  /** For certificates of pods; absent: nobody signs any. */
  readonly certificates?: Pick<ControlPlane, 'createPodCertificateRequest'> | undefined;
  readonly events: EventRecorder;
  /** For downward API files. */
  nodeFields(): NodeFields;
  /** For the node affinity of volumes. */
  nodeLabels?(signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /** What the node gives to pods: limits of memory volumes, defaults of `resourceFieldRef`. */
  allocatable(): Readonly<Record<string, Quantity>>;
  /** The pod's runtime handler can mount recursively read-only. */
  supportsRecursiveReadOnly(pod: Pod, signal: AbortSignal): Promise<boolean>;
  readonly csi?: (CsiDriverSource & WatchedDrivers) | undefined;
  readonly flexVolumes?: (FlexVolumeDrivers & WatchedDrivers) | undefined;
  /** For image volumes. */
  readonly pullImage?: PullVolumeImage | undefined;
  readonly reportVolumesInUse?: ReportVolumesInUse | undefined;
  /** What was done, how long it took. */
  readonly count?: CountOperation | undefined;
  /** Named points between two deeds, for tests. */
  readonly at?: FaultPoint | undefined;
  /** For the claim's status. */
  claimGrowth?(claim: PersistentVolumeClaim, growth: ClaimGrowth, signal: AbortSignal): Promise<void>;
  /** Plugins besides the built-in ones; they are asked first, and stand for a built-in one of their name. */
  readonly plugins?: ((context: PluginContext) => readonly VolumePlugin[]) | undefined;
}

export type OpenVolumeManager = VolumeManager & AsyncDisposable;

/** Opens the manager on what earlier runs left below `rootDir`; `signal` is its lifetime. Removes nothing yet. */
export async function openVolumeManager(
  options: VolumeManagerOptions,
  deps: VolumeManagerDeps,
  signal: AbortSignal,
): Promise<OpenVolumeManager> {
  const { log, clock, run, objects } = deps;
  const paths = new VolumePaths(options.rootDir);
  await mkdir(paths.pods, { recursive: true, mode: 0o750 });
  if (options.shareRootDir === true) {
    await shareFolder(options.rootDir, run, signal).catch((err: unknown) => {
      signal.throwIfAborted();
      log.warn({ err: errorText(err), rootDir: options.rootDir }, 'the root folder is not shared with containers');
    });
  }
  const mounter = await Mounter.open({ workDir: join(options.rootDir, 'plugins', '.mounts') }, run, signal);
  const tokens = new TokenCache({
    ...{ objects, clock },
    random: Math.random,
    notRenewed: (pod, err, retryInMs) => {
      const fields = { podUid: podUidOf(pod), serviceAccount: pod.spec?.serviceAccountName, err: errorText(err) };
      log.warn({ ...fields, retryInMs }, 'token of a pod could not be renewed; the one it has still holds');
    },
  });
  // The manager is told of changes, and its plugins read through what tells it.
  const link: { manager?: PodVolumeManager } = {};
  const watches = new ObjectWatches(
    objects,
    (uid) => link.manager?.lookAgain(uid),
    options.standalone === true ? undefined : clusterNode(options.nodeName, objects),
  );
  const read: ReadForPod = (uid, kind, namespace, name, signal) => watches.read(uid, kind, namespace, name, signal);
  const event = (pod: Pod, type: EventType, reason: string, message: string): void =>
    deps.events.record(podReference(pod), type, reason, message);
  const warn = (pod: Pod, reason: string, message: string): void => event(pod, 'Warning', reason, message);
  const { nodeName, standalone = false } = options;
  const seLinuxFileContext = options.seLinuxFileContext ?? (await readFileContext());
  const at = deps.at ?? (() => {});
  const context: PluginContext = {
    ...{ paths, nodeName, standalone, seLinuxFileContext, mounter, run, clock, log, objects, read, tokens, warn, at },
    attachesHere: standalone || options.attachesHere === true,
    lookAgain: (uid) => link.manager?.lookAgain(uid),
    followAttached: (uid) => watches.followAttached(uid),
    lifetime: signal,
  };
  const certificates = new PodCertificates({
    ...{ nodeName, objects, read, clock, log, event },
    requests: deps.certificates,
    random: Math.random,
  });
  const given = deps.plugins?.(context) ?? [];
  const builtIn = builtInPlugins(context, contentSources(watches, read, tokens, certificates, deps), deps);
  const plugins = [...given, ...builtIn.filter(({ name }) => !given.some((other) => other.name === name))];
  const present = await findPresentPods(paths);
  const count = deps.count ?? (() => {});
  const stages = new NodeStages(count, tellerOfAttached(deps.events), deps.reportVolumesInUse);
  await recoverStages(stages, plugins, present, paths, log, signal);
  const claimChanged = (): void => link.manager?.claimChanged();
  const binder = standalone
    ? await openLocalBinder(options.rootDir, { ...deps, read, event, claimChanged })
    : undefined;
  const node = async (signal: AbortSignal): Promise<NodeIdentity> => ({
    name: nodeName,
    labels: (await deps.nodeLabels?.(signal)) ?? {},
  });
  const claims = new ClaimResolver({ read, node, binder: binder ?? clusterBinder(read) });
  const { patienceMs = defaultPatienceMs } = options;
  const underWay = (): DriverCall[] => [deps.csi, deps.flexVolumes].flatMap((drivers) => drivers?.underWay() ?? []);
  const podMounter = new PodMounter({
    ...{ patienceMs, underWay, lifetime: signal },
    ended: (uid) => link.manager?.wake(uid),
    paths,
    mounter,
    stages,
    plugins,
    event,
    volumeEvent: warnerOfVolumes(deps.events),
    count,
    clock,
    claimGrowth: async (claim, growth, asked) => {
      await binder?.growth(claim, growth, asked);
      await deps.claimGrowth?.(claim, growth, asked);
    },
    presentPods: () => link.manager?.presentPods() ?? [],
    seLinux: seLinuxFileContext !== undefined,
    origin: (pod, wanted, signal) => claims.origin(pod, wanted, signal),
    nameInBinding: (uid, volume) => nameInBinding(claims.inBinding(uid, volume)),
  });
  const unlisten = [deps.csi, deps.flexVolumes].map((drivers) => drivers?.onChange(() => link.manager?.wakeWaiting()));
  const manager = new PodVolumeManager({
    paths,
    mounter,
    stages,
    plugins,
    podMounter,
    ...{ patienceMs, underWay },
    usages: new VolumeUsages({ run, count }, signal),
    count,
    clock,
    log,
    present,
    supportsRecursiveReadOnly: (pod, asked) => deps.supportsRecursiveReadOnly(pod, asked),
    forget: (uid: PodUid) => {
      watches.release(uid);
      tokens.drop(uid);
      certificates.drop(uid);
    },
    reclaim: async (podIsGone, names, signal) => {
      const isUsed = (name: string): Promise<boolean> => isInUse(name, paths, link.manager?.presentPods() ?? []);
      await binder?.reclaim({ podIsGone, concerns: namedOrOwned(names), isUsed }, signal);
    },
    lifetime: signal,
    close: () => {
      for (const stop of unlisten) stop?.();
      binder?.[Symbol.dispose]();
      watches[Symbol.dispose]();
    },
  });
  link.manager = manager;
  return manager;
}

const tellerOfAttached =
  (events: EventRecorder): TellAttached =>
  ({ pod, specName }) =>
    events.record(
      podReference(pod),
      'Normal',
      'SuccessfulAttachVolume',
      `${attachVolume} succeeded for volume "${specName}"`,
    );

const warnerOfVolumes =
  (events: EventRecorder) =>
  ({ metadata }: PersistentVolume, reason: string, message: string): void => {
    const { name, uid } = metadata ?? {};
    events.record({ apiVersion: 'v1', kind: 'PersistentVolume', name, uid }, 'Warning', reason, message);
  };

function nameInBinding(claim: PersistentVolumeClaim | undefined): string | undefined {
  return claim && (claim.spec?.volumeName || provisionedName(claim));
}

/** Volumes of these names, or all where none are named, and those that were made for one pod alone. */
const namedOrOwned =
  (names: ReadonlySet<string> | undefined): Reclaim['concerns'] =>
  (volume, podUid) =>
    names === undefined || names.has(volume) || podUid !== undefined;

function clusterNode(nodeName: string, objects: Pick<ControlPlane, 'get'>): ClusterNode {
  return {
    nodeName,
    volumesAttached: async (signal) => {
      const node = await objects.get('Node', '', nodeName, signal);
      return JSON.stringify(node?.status?.volumesAttached ?? []);
    },
  };
}

/** By the disk: also a pod that this agent has not looked at yet keeps its volume. */
async function isInUse(specName: string, paths: VolumePaths, pods: readonly PodUid[]): Promise<boolean> {
  for (const uid of pods)
    if ((await findPodVolumes(paths, uid)).some((volume) => volume.specName === specName)) return true;
  return false;
}

async function openLocalBinder(
  rootDir: string,
  deps: VolumeManagerDeps & Pick<LocalBinderDeps, 'read' | 'event' | 'claimChanged'>,
): Promise<LocalBinder> {
  const { objects, log, csi, read, event, claimChanged, at } = deps;
  const provisioner = csi && csiProvisioner(csi, objects);
  const path = join(rootDir, 'volume_bindings');
  return await LocalBinder.open(path, { objects, read, log, provisioner, event, claimChanged, at });
}

/** What is attached and staged, and for whom, by what the plugins find on disk. */
async function recoverStages(
  stages: NodeStages,
  plugins: readonly VolumePlugin[],
  present: readonly PodUid[],
  paths: VolumePaths,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  for (const plugin of plugins) {
    if (!plugin.findStages) continue;
    try {
      for (const found of await plugin.findStages(signal)) stages.adopt(plugin, found);
    } catch (err) {
      signal.throwIfAborted();
      log.error({ err, plugin: plugin.name }, 'staged volumes of a plugin cannot be found; they stay');
    }
  }
  if (stages.isEmpty) return;
  for (const found of (await Promise.all(present.map((uid) => findPodVolumes(paths, uid)))).flat()) {
    const plugin = plugins.find((one) => one.name === found.plugin || one.ownsFolder?.(found.plugin));
    const key = await plugin?.stageKeyOf?.(found).catch(() => undefined);
    if (plugin && key !== undefined) stages.addUser(plugin, key, found.uid);
  }
}

function contentSources(
  watches: ObjectWatches,
  read: ReadForPod,
  tokens: TokenCache,
  certificates: PodCertificates,
  deps: VolumeManagerDeps,
): ContentSources {
  const namespaceOf = (pod: Pod): string => pod.metadata?.namespace ?? 'default';
  return {
    configMap: (pod, name, signal) => read(podUidOf(pod), 'ConfigMap', namespaceOf(pod), name, signal),
    secret: (pod, name, signal) => read(podUidOf(pod), 'Secret', namespaceOf(pod), name, signal),
    token: (pod, projection, signal) => tokens.forProjection(pod, projection, signal),
    trustBundles: (pod, signal) => ({
      named: (name) => read(podUidOf(pod), 'ClusterTrustBundle', '', name, signal),
      all: () => {
        watches.followAll(podUidOf(pod), 'ClusterTrustBundle');
        return deps.objects.list('ClusterTrustBundle', '', signal);
      },
    }),
    certificate: (pod, source, projection, signal) => certificates.get(pod, source, projection, signal),
    nodeFields: () => deps.nodeFields(),
    allocatable: () => deps.allocatable(),
  };
}

function builtInPlugins(context: PluginContext, sources: ContentSources, deps: VolumeManagerDeps): VolumePlugin[] {
  const memory = { allocatable: () => deps.allocatable(), noSwap: kernelKeepsTmpfsOutOfSwap(release()) };
  const content = { sources, memory, clock: context.clock, log: context.log };
  return [
    new EmptyDirPlugin({ ...context, memory }),
    new ConfigMapPlugin(content),
    new SecretPlugin(content),
    new ProjectedPlugin(content),
    new DownwardApiPlugin(content),
    new HostPathPlugin(),
    new ImagePlugin(deps.pullImage),
    new LocalVolumePlugin(context),
    new NfsPlugin(context),
    new IscsiPlugin(context),
    new FcPlugin(context),
    ...(deps.csi ? [new CsiPlugin(context, deps.csi)] : []),
    ...(deps.flexVolumes ? [new FlexVolumePlugin(context, deps.flexVolumes)] : []),
  ];
}

/** tmpfs knows `noswap` since Linux 6.4. */
export function kernelKeepsTmpfsOutOfSwap(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return major > 6 || (major === 6 && minor >= 4);
}
