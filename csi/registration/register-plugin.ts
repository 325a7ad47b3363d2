import { basename } from 'node:path';
import type { CallInterface, CallRecorder } from '../../base/call-recorder.js';
import { errorText } from '../../base/errors.js';
import type { PluginInfo, RegistrationMethods } from '../../proto/generated/pluginregistration-v1.js';
import { UnixClient, WireError, type WireServices } from '../../proto/wire/index.js';
import { RegistrationError, type PluginHandler, type PluginRegistration, type PluginType } from './plugin-handler.js';

/** As the kubelet has them. */
const dialTimeoutMs = 10_000;
const getInfoTimeoutMs = 1000;
const notifyTimeoutMs = 5000;

const interfaces: { readonly [T in PluginType]: CallInterface } = {
  CSIPlugin: 'csi',
  DevicePlugin: 'device-plugin',
  DRAPlugin: 'dra',
};

export interface RegisterPluginDeps {
  readonly handlers: Readonly<Partial<Record<PluginType, PluginHandler>>>;
  readonly recorder: CallRecorder;
  readonly services: WireServices;
  readonly newId: () => string;
  /** The plugin said who it is; what follows may take long. */
  readonly onIdentified: (plugin: PluginRegistration) => void;
}

/**
 * The whole conversation on one registration socket: who are you, may you, take it into use, tell it the outcome. Rejects
 * with `RegistrationError`; nothing is registered then.
 */
export async function registerPlugin(
  socketPath: string,
  deps: RegisterPluginDeps,
  signal: AbortSignal,
): Promise<PluginRegistration> {
  using client = new UnixClient<RegistrationMethods>({
    socketPath,
    proto: 'pluginregistration-v1',
    service: 'pluginregistration.Registration',
    services: deps.services,
  });
  const info = await getInfo(client, socketPath, deps.recorder, signal);
  const type = info.type ?? '';
  const notify = (error: string): Promise<void> => tellPlugin(client, info, socketPath, error, deps.recorder, signal);
  const handler = isPluginType(type) ? deps.handlers[type] : undefined;
  if (!isPluginType(type) || handler === undefined) {
    const reason = `no handler registered for plugin type: ${type} at socket ${socketPath}`;
    await notify(reason).catch(() => signal.throwIfAborted());
    throw new RegistrationError(`register plugin ${info.name ?? ''}: ${reason}`, { code: 'no-handler', type });
  }
  if (info.name === undefined || info.name === '') {
    await notify('the plugin has no name').catch(() => signal.throwIfAborted());
    throw new RegistrationError(`register plugin at ${socketPath}: it has no name`, { code: 'malformed' });
  }
  const plugin: PluginRegistration = {
    id: deps.newId(),
    type,
    name: info.name,
    endpoint: endpointPath(info.endpoint, socketPath),
    versions: info.supportedVersions ?? [],
    socketPath,
  };
  deps.onIdentified(plugin);
  try {
    await handler.validate(plugin, signal);
    await handler.register(plugin, signal);
  } catch (err) {
    signal.throwIfAborted();
    const reason = errorText(err);
    // That it could not even be told is less telling than why it was refused.
    await notify(`plugin registration failed with err: ${reason}`).catch(() => signal.throwIfAborted());
    throw new RegistrationError(`register plugin ${plugin.name}: ${reason}`, { code: 'refused' }, { cause: err });
  }
  try {
    await notify('');
  } catch (err) {
    await handler.deregister(plugin);
    signal.throwIfAborted();
    throw new RegistrationError(
      `tell plugin ${plugin.name} that it is registered: ${errorText(err)}`,
      { code: 'not-told' },
      { cause: err },
    );
  }
  return plugin;
}

function isPluginType(type: string): type is PluginType {
  return Object.hasOwn(interfaces, type);
}

/** Some plugins write the endpoint as a URL. */
function endpointPath(endpoint: string | undefined, socketPath: string): string {
  if (endpoint === undefined || endpoint === '') return socketPath;
  return endpoint.replace(/^unix:(\/\/)?/, '');
}

async function getInfo(
  client: UnixClient<RegistrationMethods>,
  socketPath: string,
  recorder: CallRecorder,
  signal: AbortSignal,
): Promise<PluginInfo> {
  // The type is not known before the answer; nearly every plugin that registers this way is a CSI driver.
  const end = recorder.begin({
    interface: 'csi',
    plugin: basename(socketPath),
    verb: 'GetInfo',
    subject: { object: socketPath },
  });
  try {
    await client.connect(dialTimeoutMs, signal);
    const info = await client.call('getInfo', {}, getInfoTimeoutMs, signal);
    end({ response: info });
    return info;
  } catch (err) {
    const reason = signal.aborted ? 'given up' : errorText(err);
    end({ error: { code: err instanceof WireError ? err.failure.code : 'unknown', message: reason } });
    signal.throwIfAborted();
    throw new RegistrationError(
      `ask the plugin at ${socketPath} who it is: ${reason}`,
      { code: 'unreachable' },
      { cause: err },
    );
  }
}

async function tellPlugin(
  client: UnixClient<RegistrationMethods>,
  info: PluginInfo,
  socketPath: string,
  error: string,
  recorder: CallRecorder,
  signal: AbortSignal,
): Promise<void> {
  const request = { pluginRegistered: error === '', error };
  const type = info.type ?? '';
  const end = recorder.begin({
    interface: isPluginType(type) ? interfaces[type] : 'csi',
    plugin: info.name ?? basename(socketPath),
    verb: 'NotifyRegistrationStatus',
    subject: { object: socketPath },
    request,
  });
  try {
    await client.call('notifyRegistrationStatus', request, notifyTimeoutMs, signal);
    end({});
  } catch (err) {
    end({ error: { code: err instanceof WireError ? err.failure.code : 'unknown', message: errorText(err) } });
    throw err;
  }
}
