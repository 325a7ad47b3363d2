/** What a plugin said about itself on its socket in the plugin registration folder. */
export interface PluginInfo {
  /** Different for every registration. */
  readonly id: string;
  readonly type: string;
  readonly name: string;
  /** Where the plugin serves. */
  readonly endpoint: string;
  readonly versions: readonly string[];
  readonly socketPath: string;
}

/**
 * What the watcher of the plugin registration folder hands plugins of one type to. It calls one method at a time per
 * socket; sockets run side by side.
 */
export interface PluginHandler {
  /** Rejects with the reason when this plugin cannot be used; nothing is kept. */
  validate(plugin: PluginInfo, signal: AbortSignal): Promise<void>;
  /** Takes the plugin into use. Rejects with the reason, and then nothing of this registration is left. */
  register(plugin: PluginInfo, signal: AbortSignal): Promise<void>;
  /** The socket of a registered plugin is gone; another registration of the same name may have taken over since. */
  deregister(plugin: PluginInfo): Promise<void>;
}
