import {
  decideFsGroup,
  ephemeralHandle,
  volumeCapability,
  type CsiDriver,
  type FsGroupDecision,
  type KubernetesAccessMode,
  type v1,
} from '../../../../csi/index.js';
import type { CSIDriver as CsiDriverObject, SecretReference } from '../../../api/index.js';
import { VolumeProblem } from '../../volume-error.js';
import type { PodVolume, VolumeOrigin } from '../../volume-plugin.js';

/** What a pod's inline volume and a PersistentVolume have in common. */
export interface CsiSource {
  readonly driver: string;
  readonly handle: string;
  readonly inline: boolean;
  readonly fsType: string | undefined;
  readonly readOnly: boolean;
  readonly attributes: Readonly<Record<string, string>>;
  readonly accessModes: readonly KubernetesAccessMode[] | undefined;
  readonly mountOptions: readonly string[];
  readonly stageSecret?: SecretReference | undefined;
  readonly publishSecret?: SecretReference | undefined;
  readonly expandSecret?: SecretReference | undefined;
  readonly controllerPublishSecret?: SecretReference | undefined;
}

export const isCsi = (origin: VolumeOrigin): boolean =>
  (origin.kind === 'inline' ? origin.volume.csi : origin.persistentVolume.spec?.csi) !== undefined;

export function csiSource({ origin, uid, name }: PodVolume): CsiSource {
  if (origin.kind === 'inline') {
    const { csi } = origin.volume;
    if (!csi) throw new VolumeProblem('unsupported', 'not a CSI volume');
    return {
      driver: csi.driver,
      handle: ephemeralHandle(uid, name),
      inline: true,
      fsType: csi.fsType,
      readOnly: csi.readOnly ?? false,
      attributes: csi.volumeAttributes ?? {},
      accessModes: undefined,
      mountOptions: [],
      publishSecret: csi.nodePublishSecretRef,
    };
  }
  const { csi, accessModes, mountOptions = [] } = origin.persistentVolume.spec ?? {};
  if (!csi) throw new VolumeProblem('unsupported', 'not a CSI volume');
  return {
    driver: csi.driver,
    handle: csi.volumeHandle,
    inline: false,
    fsType: csi.fsType,
    readOnly: csi.readOnly ?? false,
    attributes: csi.volumeAttributes ?? {},
    accessModes,
    mountOptions,
    stageSecret: csi.nodeStageSecretRef,
    publishSecret: csi.nodePublishSecretRef,
    expandSecret: csi.nodeExpandSecretRef,
    controllerPublishSecret: csi.controllerPublishSecretRef,
  };
}

/** Who gives the volume to the pod's group. */
export function groupDecision(
  volume: PodVolume,
  source: CsiSource,
  driver: CsiDriver,
  object: CsiDriverObject | undefined,
): FsGroupDecision {
  const policy = object?.spec.fsGroupPolicy;
  return decideFsGroup({
    fsGroup: volume.fsGroup,
    readOnly: volume.readOnly || source.readOnly,
    policy: policy === 'None' || policy === 'File' ? policy : 'ReadWriteOnceWithFSType',
    driverApplies: driver.capabilities.node.has('VOLUME_MOUNT_GROUP'),
    fsType: source.fsType,
    accessModes: source.accessModes,
    inline: source.inline,
  });
}

export function capabilityOf(
  volume: PodVolume,
  source: CsiSource,
  driver: CsiDriver,
  group: FsGroupDecision,
  /** Besides the volume's own. */
  mountOptions: readonly string[] = [],
  /** What the service that is called can do. */
  service: ReadonlySet<string> = driver.capabilities.node,
): v1.VolumeCapability {
  return volumeCapability(
    {
      accessMode: source.accessModes?.[0] ?? 'ReadWriteOnce',
      volumeMode: volume.block ? 'Block' : 'Filesystem',
      fsType: source.fsType,
      mountOptions: [...source.mountOptions, ...mountOptions],
      volumeMountGroup: group.by === 'driver' ? group.volumeMountGroup : undefined,
    },
    service,
  );
}

/** A driver must say in its CSIDriver object that it makes volumes for single pods. Without a cluster nobody makes such objects for drivers. */
export function checkInline({ driver }: CsiSource, object: CsiDriverObject | undefined, standalone: boolean): void {
  if (!object && standalone) return;
  if (!object)
    throw new VolumeProblem(
      'refused',
      `volume mode "Ephemeral" not supported by driver ${driver} (no CSIDriver object)`,
    );
  const modes = object.spec.volumeLifecycleModes ?? ['Persistent'];
  if (!modes.includes('Ephemeral'))
    throw new VolumeProblem(
      'refused',
      `volume mode "Ephemeral" not supported by driver ${driver} (only supports ${JSON.stringify(modes)})`,
    );
}
