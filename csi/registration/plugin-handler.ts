import { BerthError } from '../../base/errors.js';

/** The types the kubelet knows; `type` in `PluginInfo` is one of these words. */
export type PluginType = 'CSIPlugin' | 'DevicePlugin' | 'DRAPlugin';

/** What a plugin said about itself on its registration socket. */
export interface PluginRegistration {
  /** Different for every registration: a driver that restarts comes with a new one. */
  readonly id: string;
  readonly type: PluginType;
  readonly name: string;
  /** Where the plugin serves; the registration socket itself when it named none. */
  readonly endpoint: string;
  readonly versions: readonly string[];
  readonly socketPath: string;
}

/** What is done with the plugins of one type. The watcher calls one method at a time per socket; sockets run side by side. */
export interface PluginHandler {
  /** Rejects with the reason when this plugin cannot be used; nothing is kept. */
  validate(plugin: PluginRegistration, signal: AbortSignal): Promise<void>;
  /** Takes the plugin into use. Rejects with the reason, and then nothing of this registration is left. */
  register(plugin: PluginRegistration, signal: AbortSignal): Promise<void>;
  /**
   * The socket of a registered plugin is gone or was replaced. Two sockets may carry one name: compare `id`, for another
   * registration may have taken over since.
   */
  deregister(plugin: PluginRegistration): Promise<void>;
}

export type RegistrationFailure =
  /** Nobody answered on the socket, or `GetInfo` failed. */
  | { readonly code: 'unreachable' }
  /** The plugin's answer to `GetInfo` cannot be used. */
  | { readonly code: 'malformed' }
  /** Nobody in this agent handles plugins of this type. */
  | { readonly code: 'no-handler'; readonly type: string }
  /** The handler said no. */
  | { readonly code: 'refused' }
  /** It was registered, but could not be told so; the registration was taken back. */
  | { readonly code: 'not-told' };

export class RegistrationError extends BerthError<RegistrationFailure> {}

export type PluginState =
  | { readonly kind: 'connecting'; readonly attempt: number }
  | { readonly kind: 'registering'; readonly attempt: number; readonly plugin: PluginRegistration }
  | { readonly kind: 'registered'; readonly plugin: PluginRegistration }
  | {
      readonly kind: 'failed';
      readonly attempt: number;
      readonly code: RegistrationFailure['code'];
      readonly reason: string;
      /** Milliseconds since the epoch. */
      readonly nextTry: number;
      /** As far as it is known. */
      readonly plugin?: PluginRegistration | undefined;
    };

/** One socket in the folder, for `berth plugins`. */
export interface PluginStatus {
  readonly socketPath: string;
  /** When the state was entered; milliseconds since the epoch. */
  readonly since: number;
  readonly state: PluginState;
}
