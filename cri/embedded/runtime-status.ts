import { accessSync, constants } from 'node:fs';
import { errorText } from '../../base/errors.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import type { RuntimeContext } from './context.js';
import { userNamespaceLack } from './sandboxes/user-namespace-request.js';

export async function runtimeStatus(
  context: RuntimeContext,
  request: v1.StatusRequest,
  signal: AbortSignal,
): Promise<v1.StatusResponse> {
  const { options, deps, host } = context;
  const missing = missingPrograms(context);
  const network = await networkStatus(context, signal);
  return {
    status: {
      conditions: [
        {
          type: 'RuntimeReady',
          status: missing.length === 0,
          reason: missing.length === 0 ? '' : 'ProgramMissing',
          message: missing.length === 0 ? '' : `cannot be executed: ${missing.join(', ')}`,
        },
        { type: 'NetworkReady', status: network.ready, reason: network.reason, message: network.message },
      ],
    },
    runtimeHandlers: runtimeHandlers(context),
    features: { supplementalGroupsPolicy: true, userNamespacesHostNetwork: false },
    info:
      request.verbose === true
        ? { config: JSON.stringify(options), host: JSON.stringify({ ...host, bootId: deps.bootId }) }
        : {},
  };
}

/** The default handler is listed under the empty name too, as the kubelet asks for it. */
function runtimeHandlers(context: RuntimeContext): v1.RuntimeHandler[] {
  const installed = Object.entries(context.options.ociRuntimes).filter(([, path]) => isExecutable(path));
  const features = (name: string): v1.RuntimeHandlerFeatures => ({
    recursiveReadOnlyMounts: true,
    userNamespaces: installed.some(([known]) => known === name) && userNamespaceLack(context, name) === '',
  });
  return [
    { name: '', features: features(context.options.defaultHandler) },
    ...installed.map(([name]) => ({ name, features: features(name) })),
  ];
}

function missingPrograms({ options }: RuntimeContext): string[] {
  const needed = [options.conmonPath, options.ociRuntimes[options.defaultHandler] ?? options.defaultHandler];
  return needed.filter((path) => !isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function networkStatus(
  context: RuntimeContext,
  signal: AbortSignal,
): Promise<{ readonly ready: boolean; readonly reason: string; readonly message: string }> {
  try {
    return await context.deps.network.status(signal);
  } catch (err) {
    signal.throwIfAborted();
    return { ready: false, reason: 'NetworkPluginNotReady', message: errorText(err) };
  }
}
