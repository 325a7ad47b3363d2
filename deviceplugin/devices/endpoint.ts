import type { CallSubject } from '../../base/call-recorder.js';
import type { ContainerAllocateResponse } from '../../proto/generated/deviceplugin-v1beta1.js';
import type { DeviceList } from './device.js';

export interface EndpointOptions {
  /** `preStart` must be called before each start of a container. */
  readonly preStartRequired: boolean;
  /** The endpoint has a say in which devices are taken. */
  readonly hasPreference: boolean;
}

/** Where the devices of one resource come from: a plugin, or a pool of this node's configuration. */
export interface DeviceEndpoint extends AsyncDisposable {
  readonly resource: string;
  readonly options: EndpointOptions;
  /** The socket of a plugin; undefined for a pool. */
  readonly socketPath: string | undefined;
  /** Begins to report devices; called once. */
  watch(events: EndpointEvents): void;
  /** Which `size` of `available` it would take; `mustInclude` are taken already. Rejects with `DevicePluginError`. */
  preferred(request: PreferenceRequest, subject: CallSubject, signal: AbortSignal): Promise<readonly string[]>;
  /** Makes the devices ready and says what the container needs. Rejects with `DevicePluginError`. */
  allocate(ids: readonly string[], subject: CallSubject, signal: AbortSignal): Promise<ContainerAllocateResponse>;
  /** Rejects with `DevicePluginError`. */
  preStart(ids: readonly string[], subject: CallSubject, signal: AbortSignal): Promise<void>;
}

export interface PreferenceRequest {
  readonly available: readonly string[];
  readonly mustInclude: readonly string[];
  readonly size: number;
}

export interface EndpointEvents {
  /** The devices there are now, all of them. Also ends a stop. */
  devices(devices: DeviceList): void;
  /** It does not report any more; it may come back by itself. */
  stopped(reason: string): void;
}
