import type { CallRecorder, CallSubject } from '../../base/call-recorder.js';
import { isAbortOf } from '../../base/signals.js';
import type { DevicePluginMethods } from '../../proto/generated/deviceplugin-v1beta1.js';
import { WireError, type UnixClient } from '../../proto/wire/index.js';
import { DevicePluginError, type DevicePluginFailure, type DevicePluginVerb } from '../device-plugin-error.js';
import { wireTrouble } from '../wire/wire-trouble.js';

/** How long a plugin may take for each call; milliseconds. */
export interface PluginTimeouts {
  readonly connect: number;
  readonly getOptions: number;
  readonly getPreferredAllocation: number;
  readonly allocate: number;
  readonly preStart: number;
}

export const defaultTimeouts: PluginTimeouts = {
  connect: 10_000,
  getOptions: 10_000,
  getPreferredAllocation: 10_000,
  // The kubelet waits for ever; plugins that set up hardware here need some seconds, and a pod that hangs helps nobody.
  allocate: 60_000,
  preStart: 30_000,
};

type UnaryName = Exclude<keyof DevicePluginMethods, 'listAndWatch'>;

const verbs: { readonly [K in keyof DevicePluginMethods]: DevicePluginVerb } = {
  getDevicePluginOptions: 'GetDevicePluginOptions',
  listAndWatch: 'ListAndWatch',
  getPreferredAllocation: 'GetPreferredAllocation',
  allocate: 'Allocate',
  preStartContainer: 'PreStartContainer',
};

export type PluginClient = UnixClient<DevicePluginMethods>;

/** One call to a plugin: recorded, limited in time, its failure in our words with the plugin's behind. */
export async function callPlugin<K extends UnaryName>(
  client: PluginClient,
  call: { resource: string; method: K; request: DevicePluginMethods[K]['request']; timeoutMs: number },
  context: { recorder: CallRecorder; subject: CallSubject },
  signal: AbortSignal,
): Promise<DevicePluginMethods[K]['response']> {
  const { resource, method, request, timeoutMs } = call;
  const verb = verbs[method];
  const end = context.recorder.begin({
    interface: 'device-plugin',
    plugin: resource,
    verb,
    subject: context.subject,
    request,
  });
  try {
    const response = await client.call(method, request, timeoutMs, signal);
    end({ response });
    return response;
  } catch (err) {
    if (isAbortOf(err, signal)) {
      end({ error: { code: 'cancelled', message: 'given up' } });
      throw err;
    }
    const failure = pluginError(err, resource, verb, timeoutMs);
    end({ error: { code: failure.failure.code, message: failure.message } });
    throw failure;
  }
}

export function pluginError(
  err: unknown,
  resource: string,
  verb: DevicePluginVerb,
  timeoutMs: number,
): DevicePluginError {
  if (!(err instanceof WireError)) throw err;
  const words = err.message;
  const fail = (text: string, failure: DevicePluginFailure): DevicePluginError =>
    new DevicePluginError(`call ${verb} of the device plugin of ${resource}: ${text}`, failure, { cause: err });
  switch (wireTrouble(err)) {
    case 'refused':
      return fail(words, { code: 'plugin-refused', resource, verb, words });
    case 'unimplemented':
      return fail(`it does not implement it: ${words}`, { code: 'plugin-refused', resource, verb, words });
    case 'timed-out':
      return fail(`no answer within ${timeoutMs} ms`, {
        code: 'plugin-timed-out',
        resource,
        verb,
        afterMs: timeoutMs,
      });
    case 'unreachable':
      return fail(words, { code: 'plugin-unreachable', resource, verb });
    case 'garbage':
      return fail(`its answer cannot be read: ${words}`, { code: 'bad-answer', resource, verb });
  }
}
