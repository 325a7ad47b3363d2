/** Whom a call outside the process was made for; every field that is known. */
export interface CallSubject {
  readonly podUid?: string | undefined;
  readonly podNamespace?: string | undefined;
  readonly podName?: string | undefined;
  readonly container?: string | undefined;
  /** Any other object: a volume, an image, a device, a sandbox id. */
  readonly object?: string | undefined;
}

export type CallInterface =
  'cri' | 'oci' | 'image' | 'cni' | 'flexvolume' | 'csi' | 'device-plugin' | 'dra' | 'credential-provider';

export interface PluginCall {
  readonly interface: CallInterface;
  /** The program or service that was called: `bridge`, `crun`, `example.com/lvm`, `hostpath.csi.k8s.io`. */
  readonly plugin: string;
  /** The protocol's own word: `ADD`, `mount`, `NodePublishVolume`, `create`. */
  readonly verb: string;
  /** The gRPC service that has the verb, where a plugin may have several of them: `v1beta1.DRAPlugin`. */
  readonly service?: string | undefined;
  readonly subject: CallSubject;
  /** What was asked. The caller leaves secrets out or masks them; the recorder masks known secret keys again. */
  readonly request?: unknown;
}

export interface CallOutcome {
  readonly response?: unknown;
  /** Set when the call failed: the code, the plugin's own words. */
  readonly error?: { readonly code: string; readonly message: string };
}

/**
 * The one door for calls that leave the process for a plugin. `begin` before the call (so that a call that hangs is seen),
 * the returned function once when it ended. Must be cheap: nothing is serialized on the caller's path.
 */
export interface CallRecorder {
  begin(call: PluginCall): (outcome: CallOutcome) => void;
}

export const noRecorder: CallRecorder = { begin: () => () => {} };
