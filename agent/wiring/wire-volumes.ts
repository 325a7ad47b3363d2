import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import { errorText } from '../../base/errors.js';
import type { RunProgram } from '../../base/run-program.js';
import { orAbort } from '../../base/signals.js';
import type { RuntimeService } from '../../cri/index.js';
import { allContainers, type Pod, type Quantity, type Volume } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { Devices } from '../devices/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { ImageEnsurer } from '../executors/executor-deps.js';
import type { FaultPoint } from '../fault-point.js';
import type { HostFacts } from '../node/host-facts.js';
import type { AgentMetrics } from '../serving/metrics/index.js';
import { openVolumeManager, unsweptMessage, VolumeProblem, type OpenVolumeManager } from '../volumes/index.js';

export interface VolumeParts {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly controlPlane: ControlPlane;
  readonly host: HostFacts;
  readonly devices: Devices;
  readonly allocatable: Readonly<Record<string, Quantity>>;
  readonly runtime: RuntimeService;
  /** The one way images come to this node: credentials, records and pace are the same for volumes. */
  readonly images: ImageEnsurer;
  readonly metrics: AgentMetrics;
  readonly at?: FaultPoint | undefined;
}

/** The volume manager on this node's folders, with the drivers that are registered here. */
export async function wireVolumes(
  config: AgentConfig,
  parts: VolumeParts,
  signal: AbortSignal,
): Promise<OpenVolumeManager> {
  const { run, recorder, clock, log, events, controlPlane, host, devices, allocatable, at, images } = parts;
  const { nodeName, cluster, paths } = config;
  const volumes = await openVolumeManager(
    {
      rootDir: paths.rootDir,
      shareRootDir: paths.shareRootDir,
      nodeName,
      standalone: cluster === undefined,
      attachesHere: cluster?.controllerAttaches === false,
    },
    {
      ...{ run, recorder, log, clock, events, objects: controlPlane, certificates: controlPlane, at },
      nodeFields: () => ({ nodeName, hostIps: host.addresses, podIps: [] }),
      nodeLabels: async (asked) => await labelsOf(config, parts, asked),
      allocatable: () => allocatable,
      supportsRecursiveReadOnly: (pod, asked) => mountsRecursivelyReadOnly(pod, parts, asked),
      csi: devices.csi,
      flexVolumes: devices.flexVolumes,
      pullImage: async (pod, volume, asked) => {
        const container = imageNeed(pod, volume);
        const { imageId } = await images.ensure(pod, container, asked);
        return { image: imageId, userSpecifiedImage: volume.image?.reference };
      },
      count: (operation, plugin, seconds, failed) => parts.metrics.storageOperation(operation, plugin, seconds, failed),
      // The control plane is asked for the names when it writes, so that none is left out that came meanwhile.
      reportVolumesInUse: (_names, asked) => controlPlane.reportVolumesInUse(asked),
      claimGrowth: (claim, growth, asked) => controlPlane.reportClaimGrowth(claim, growth, asked),
    },
    signal,
  );
  controlPlane.followVolumesInUse(() => volumes.volumesInUse);
  parts.metrics.gauge('volume_manager_total_volumes', 'Number of volumes in Volume Manager', () => {
    const states = { actual_state_of_world: volumes.mountedByPlugin, desired_state_of_world: volumes.wantedByPlugin };
    return Object.entries(states).flatMap(([state, counts]) =>
      [...counts].map(([plugin, value]) => ({ labels: { plugin_name: plugin, state }, value })),
    );
  });
  return volumes;
}

/** What the node says of itself when it registers holds before the cluster is there, and on a machine without one. */
async function labelsOf(
  { nodeName, cluster }: AgentConfig,
  { controlPlane, host: { architecture } }: VolumeParts,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const node = await controlPlane.get('Node', '', nodeName, signal).catch((err: unknown) => {
    signal.throwIfAborted();
    if (cluster) throw err;
    return undefined;
  });
  const own = { 'kubernetes.io/hostname': nodeName, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': architecture };
  return { ...own, ...cluster?.labels, ...node?.metadata?.labels };
}

/** As the runtime says of the handler that the pod's class names. */
async function mountsRecursivelyReadOnly(
  pod: Pod,
  { controlPlane, runtime }: VolumeParts,
  signal: AbortSignal,
): Promise<boolean> {
  const { runtimeClassName = '' } = pod.spec ?? {};
  const runtimeClass =
    runtimeClassName === '' ? undefined : await controlPlane.get('RuntimeClass', '', runtimeClassName, signal);
  const { runtimeHandlers = [] } = await runtime.status({}, signal);
  const handler = runtimeClass?.handler ?? '';
  return runtimeHandlers.some(({ name = '', features }) => name === handler && features?.recursiveReadOnlyMounts);
}

/** Whoever mounts it needs the image, so that container's events and progress tell of it. */
function imageNeed(pod: Pod, volume: Volume): Parameters<ImageEnsurer['ensure']>[1] {
  const mounts = allContainers(pod).find(({ container }) =>
    container.volumeMounts?.some(({ name }) => name === volume.name),
  );
  if (!mounts) throw new VolumeProblem('refused', `no container mounts volume "${volume.name}"`);
  const { reference, pullPolicy } = volume.image ?? {};
  return { ...mounts, container: { ...mounts.container, image: reference, imagePullPolicy: pullPolicy } };
}

/** Once all that earlier runs left of pods is gone: what they left attached and staged without a pod. Never rejects. */
export async function sweepVolumes(
  tidy: Promise<void>,
  volumes: Pick<OpenVolumeManager, 'removeUnused'>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  try {
    await orAbort(tidy, signal);
    await volumes.removeUnused(signal);
  } catch (err) {
    if (!signal.aborted) log.warn({ err: errorText(err) }, unsweptMessage);
  }
}
