import { BerthError, errorText } from '../../base/errors.js';

export type VolumeProblemCode =
  /** A ConfigMap, Secret, claim, PersistentVolume or driver that is needed is not there. */
  | 'not-found'
  /** The object is there and says no: a key it lacks, a claim that is not bound, a path of the wrong type. */
  | 'refused'
  /** It cannot be known or done now: the control plane or a driver does not answer. */
  | 'unavailable'
  /** What was begun has not ended; it goes on, and who asks again joins it. */
  | 'under-way'
  /** The node has no room for another volume of this driver: the pod cannot run here. */
  | 'no-room'
  /** Something still uses what is to be unmounted. */
  | 'busy'
  /** No plugin of this agent handles such a volume. */
  | 'unsupported'
  /** What is on the device cannot be mounted, and is another file system than was asked for. */
  | 'wrong-file-system'
  /** The kernel or the file system refused. */
  | 'failed';

/** What went wrong, in the words of whoever refused; thrown inside plugins, which do not know whom they work for. */
export class VolumeProblem extends BerthError<{ readonly code: VolumeProblemCode }> {
  constructor(code: VolumeProblemCode, message: string, cause?: unknown) {
    super(message, { code }, cause === undefined ? undefined : { cause });
  }
}

/** The kubelet's word for what the attach/detach controller does. */
export const attachVolume = 'AttachVolume.Attach';

export interface VolumeFailure {
  readonly code: VolumeProblemCode;
  /** The pod's word for the volume. */
  readonly volume: string;
  /** `kubernetes.io/secret`, a CSI driver's name. */
  readonly plugin: string;
  /** The kubelet's word for the operation, `MountVolume.SetUp`. */
  readonly call: string;
}

/**
 * A volume of a pod could not be made or removed. The message starts with the kubelet's words, which people search for, and goes on
 * with the plugin and what it said.
 */
export class VolumeError extends BerthError<VolumeFailure> {
  static of(failure: Omit<VolumeFailure, 'code'>, cause: unknown): VolumeError {
    if (cause instanceof VolumeError) return cause;
    const code = cause instanceof VolumeProblem ? cause.failure.code : 'failed';
    const { call, volume, plugin } = failure;
    return new VolumeError(
      `${call} failed for volume "${volume}" : ${plugin}: ${errorText(cause)}`,
      { ...failure, code },
      { cause },
    );
  }

  /** The reason of the event that tells a pod of it. */
  get reason(): 'FailedAttachVolume' | 'FailedMapVolume' | 'FailedMount' {
    const { call } = this.failure;
    if (call === attachVolume) return 'FailedAttachVolume';
    return call.startsWith('MapVolume.') ? 'FailedMapVolume' : 'FailedMount';
  }

  /** One error for several volumes: all have their say, and the one that weighs most decides the code. */
  static join(errors: readonly VolumeError[]): VolumeError | undefined {
    const [first, ...rest] = errors.toSorted((a, b) => weightOf(b) - weightOf(a));
    if (!first || rest.length === 0) return first;
    return new VolumeError([first, ...rest].map((error) => error.message).join('; '), first.failure, { cause: first });
  }
}

/** What ends the pod before what failed, and that before what only goes on. */
function weightOf({ failure: { code } }: VolumeError): number {
  if (code === 'no-room') return 2;
  return code === 'under-way' ? 0 : 1;
}
