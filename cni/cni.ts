import type { AttachRequest, PodIdentity } from './attach-request.js';
import type { ConfigState } from './configuration.js';
import type { CniError, CniFailure } from './failure.js';
import type { AttachmentId } from './request-config.js';
import type { CniResult } from './result.js';
import type { CniTimeouts } from './run-network.js';

export interface CniOptions {
  /** Folder of `.conflist`, `.conf` and `.json` files: `/etc/cni/net.d`. It need not exist. */
  readonly confDir: string;
  /** Folders of plugin programs, searched in this order: `/opt/cni/bin`, `/usr/lib/cni`. */
  readonly binDirs: readonly string[];
  /** Folder for the records of attachments. On a disk that survives a reboot: addresses of `host-local` do too. */
  readonly cacheDir: string;
  readonly timeouts?: Partial<CniTimeouts> | undefined;
  /** `PATH` of plugins. */
  readonly path?: string | undefined;
  /** More variables for plugins, such as a proxy. */
  readonly extraEnv?: Readonly<Record<string, string>> | undefined;
  /** Who brings `lo` up: the `loopback` plugin on each attach, or the caller (the default), who makes the namespace anyway. */
  readonly loopback?: 'plugin' | 'caller' | undefined;
}

/** A sandbox's place in a network. */
export interface Attached {
  readonly network: string;
  readonly ifName: string;
  /** The version of the specification the plugins were spoken to in. */
  readonly version: string;
  /** Addresses of the interface inside, without prefix, in the plugins' order. May be empty. */
  readonly addresses: readonly string[];
  readonly result: CniResult;
  /** Capabilities that were asked for and no plugin of the network has: `portMappings` here means that no port is mapped. */
  readonly unmetCapabilities: readonly string[];
}

/** One attachment that was begun and not ended. */
export interface Attachment {
  readonly containerId: string;
  readonly ifName: string;
  /** All but `attached` have to be detached, or attached again. */
  readonly phase: 'adding' | 'attached' | 'removing' | 'lost';
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** Tries to remove it that failed. */
  readonly failures: number;
  readonly lastError?: { readonly at: number; readonly reason: string } | undefined;
  readonly network?: string | undefined;
  readonly netns?: string | undefined;
  readonly pod?: PodIdentity | undefined;
  readonly addresses: readonly string[];
  readonly result?: CniResult | undefined;
}

export interface DetachRequest {
  readonly containerId: string;
  /** Only this interface; all of the container when absent. */
  readonly ifName?: string | undefined;
}

export interface GcReport {
  /** Attachments that were recorded, not valid, and are gone now. */
  readonly removed: readonly AttachmentId[];
  readonly failures: readonly CniError[];
}

export type CniStatus =
  | { readonly ready: true; readonly network: string; readonly version: string }
  /** `reason` is for the node's Ready condition. Without `failure` it is the configuration that is missing or broken. */
  | { readonly ready: false; readonly reason: string; readonly failure?: CniFailure | undefined };

/**
 * Attaches sandboxes to networks through CNI plugins. Every call may be repeated; calls for one container wait for each other.
 * Rejects with `CniError`, or with the signal's reason; then no plugin that was started for the call is running any more.
 */
export interface Cni extends AsyncDisposable {
  /** What the configuration folder holds now. */
  readonly configuration: ConfigState;
  /** Calls `listener` after each change of the configuration; returns how to stop. */
  onChange(listener: (state: ConfigState) => void): () => void;

  /**
   * Attaches a namespace. An attachment that is there already, in the same namespace, is returned; one that was left half made, or is
   * of another namespace, is removed first. After a failure or an abort all is taken back; what cannot be is listed by
   * `attachments()` until `detach`, `gc` or another `attach` removed it.
   */
  attach(request: AttachRequest, signal: AbortSignal): Promise<Attached>;

  /**
   * Removes what `attach` did, with the configuration used then. Works when the namespace and the configuration are gone. Succeeds when
   * there is nothing to remove. Repeat it until it succeeds: the attachment stays recorded until then.
   */
  detach(request: DetachRequest, signal: AbortSignal): Promise<void>;

  /** Asks the plugins whether all is still as they made it; `unsupported` when the network or its version has no CHECK. */
  check(request: DetachRequest, signal: AbortSignal): Promise<'checked' | 'unsupported'>;

  /**
   * Removes every recorded attachment that `valid` does not name, then lets plugins of version 1.1 drop what they hold for others.
   * `valid` is called once no attach or detach is under way, and must name everything that is in use or about to be. Only
   * networks that were attached to from this cache folder are collected, and none with `disableGC`.
   */
  gc(valid: () => Iterable<AttachmentId>, signal: AbortSignal): Promise<GcReport>;

  /** Whether the default network can serve `attach`: configuration, programs, versions, and what plugins say to STATUS. */
  status(signal: AbortSignal): Promise<CniStatus>;

  /** Every attachment that was begun and not ended, oldest first: to compare with what should be there. */
  attachments(): readonly Attachment[];
}
