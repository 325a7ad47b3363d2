export {
  RegistrationError,
  type PluginHandler,
  type PluginRegistration,
  type PluginState,
  type PluginStatus,
  type PluginType,
  type RegistrationFailure,
} from './plugin-handler.js';
export { PluginWatcher, type PluginWatcherDeps, type PluginWatcherOptions } from './plugin-watcher.js';
