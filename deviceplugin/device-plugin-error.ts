import { BerthError } from '../base/errors.js';

/** A method of the device plugin interface, for an error message. */
export type DevicePluginVerb =
  'GetDevicePluginOptions' | 'ListAndWatch' | 'GetPreferredAllocation' | 'Allocate' | 'PreStartContainer';

export type DevicePluginFailure =
  /** Fewer healthy devices are free than the container wants. */
  | {
      readonly code: 'insufficient';
      readonly resource: string;
      readonly requested: number;
      readonly available: number;
    }
  /** The container holds devices from before, and some of them are not healthy any more. */
  | { readonly code: 'unhealthy'; readonly resource: string; readonly devices: readonly string[] }
  /** The container holds another number of devices than it asks for now. */
  | { readonly code: 'request-changed'; readonly resource: string }
  /** Running pods hold devices of it that nobody can name: the checkpoint was lost. */
  | { readonly code: 'holders-unknown'; readonly resource: string }
  /** The plugin was here before and did not come back in time. */
  | { readonly code: 'plugin-absent'; readonly resource: string }
  /** The plugin answered with an error; `words` are its own. */
  | {
      readonly code: 'plugin-refused';
      readonly resource: string;
      readonly verb: DevicePluginVerb;
      readonly words: string;
    }
  /** Nobody answered on the plugin's socket, or the connection broke. */
  | { readonly code: 'plugin-unreachable'; readonly resource: string; readonly verb: DevicePluginVerb }
  | {
      readonly code: 'plugin-timed-out';
      readonly resource: string;
      readonly verb: DevicePluginVerb;
      readonly afterMs: number;
    }
  /** The plugin answered with something that cannot be used. */
  | { readonly code: 'bad-answer'; readonly resource: string; readonly verb: DevicePluginVerb }
  /** The grant could not be recorded, so it was not made. */
  | { readonly code: 'checkpoint'; readonly path: string }
  /** A plugin that may not register as it wants to. */
  | { readonly code: 'invalid-registration'; readonly what: 'version' | 'name' | 'endpoint' | 'taken' }
  /** Pools that cannot be offered; `message` lists every problem with its path. */
  | { readonly code: 'invalid-pools' }
  /** The registration socket cannot be served. */
  | { readonly code: 'not-serving'; readonly path: string };

export class DevicePluginError extends BerthError<DevicePluginFailure> {}
