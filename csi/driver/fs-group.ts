import type { KubernetesAccessMode } from './volume-capability.js';

/** `CSIDriver.spec.fsGroupPolicy`; the third is the default, also for a driver without a CSIDriver object. */
export type FsGroupPolicy = 'None' | 'File' | 'ReadWriteOnceWithFSType';

export interface FsGroupQuestion {
  readonly fsGroup: number | undefined;
  readonly readOnly: boolean;
  readonly policy: FsGroupPolicy;
  /** VOLUME_MOUNT_GROUP of the node service. */
  readonly driverApplies: boolean;
  readonly fsType: string | undefined;
  /** Of the PV; undefined for an inline volume, which is always used as ReadWriteOnce. */
  readonly accessModes: readonly KubernetesAccessMode[] | undefined;
  readonly inline: boolean;
}

export type FsGroupDecision =
  /** Told at stage and publish as `volume_mount_group`; the agent leaves the files alone. */
  | { readonly by: 'driver'; readonly volumeMountGroup: string }
  /** The agent changes the owner of the files after publish. */
  | { readonly by: 'agent'; readonly fsGroup: number }
  | { readonly by: 'nobody'; readonly because: string };

export function decideFsGroup(question: FsGroupQuestion): FsGroupDecision {
  const { fsGroup } = question;
  if (fsGroup === undefined) return { by: 'nobody', because: 'the pod has no fsGroup' };
  // A driver that says it can is asked whatever the policy is.
  if (question.driverApplies) return { by: 'driver', volumeMountGroup: String(fsGroup) };
  if (question.policy === 'None') return { by: 'nobody', because: 'fsGroupPolicy of the driver is None' };
  if (question.readOnly) return { by: 'nobody', because: 'the volume is read-only' };
  if (question.policy === 'File') return { by: 'agent', fsGroup };
  if (question.fsType === undefined || question.fsType === '') {
    return { by: 'nobody', because: 'fsGroupPolicy is ReadWriteOnceWithFSType and the volume names no fsType' };
  }
  const once = question.accessModes?.some((mode) => mode === 'ReadWriteOnce' || mode === 'ReadWriteOncePod') ?? false;
  if (!question.inline && !once) {
    return { by: 'nobody', because: 'fsGroupPolicy is ReadWriteOnceWithFSType and the volume is not ReadWriteOnce' };
  }
  return { by: 'agent', fsGroup };
}
