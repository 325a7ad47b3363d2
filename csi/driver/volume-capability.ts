import type {
  VolumeCapability,
  VolumeCapability_AccessMode_Mode as CsiAccessMode,
} from '../../proto/generated/csi-v1.js';

export type KubernetesAccessMode = 'ReadWriteOnce' | 'ReadOnlyMany' | 'ReadWriteMany' | 'ReadWriteOncePod';

/** ReadWriteOncePod needs SINGLE_NODE_MULTI_WRITER; a driver without it gets the nearest older mode, as from the kubelet. */
export function csiAccessMode(mode: KubernetesAccessMode, canMultiWriter: boolean): CsiAccessMode {
  switch (mode) {
    case 'ReadWriteOnce':
      return canMultiWriter ? 'SINGLE_NODE_MULTI_WRITER' : 'SINGLE_NODE_WRITER';
    case 'ReadOnlyMany':
      return 'MULTI_NODE_READER_ONLY';
    case 'ReadWriteMany':
      return 'MULTI_NODE_MULTI_WRITER';
    case 'ReadWriteOncePod':
      return canMultiWriter ? 'SINGLE_NODE_SINGLE_WRITER' : 'SINGLE_NODE_WRITER';
  }
}

export interface CsiVolumeUse {
  /** The first access mode of the PV; ReadWriteOnce when it names none, and for inline volumes. */
  readonly accessMode: KubernetesAccessMode;
  readonly volumeMode: 'Filesystem' | 'Block';
  readonly fsType?: string | undefined;
  readonly mountOptions?: readonly string[] | undefined;
  /** Only for a driver with VOLUME_MOUNT_GROUP; see `decideFsGroup`. */
  readonly volumeMountGroup?: string | undefined;
}

/** How the volume is to be used, as every RPC that takes a capability wants to be told. `service`: what the service that is called can do. */
export function volumeCapability(use: CsiVolumeUse, service: ReadonlySet<string>): VolumeCapability {
  const accessMode = { mode: csiAccessMode(use.accessMode, service.has('SINGLE_NODE_MULTI_WRITER')) };
  if (use.volumeMode === 'Block') return { accessMode, block: {} };
  return {
    accessMode,
    mount: {
      fsType: use.fsType ?? '',
      mountFlags: use.mountOptions ?? [],
      volumeMountGroup: use.volumeMountGroup ?? '',
    },
  };
}
