import { errorText } from '../../base/errors.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import type { DockerInfo } from './docker-types.js';
import type { DockerContext } from './options.js';

export async function dockerVersion(context: DockerContext, signal: AbortSignal): Promise<v1.VersionResponse> {
  const { ServerVersion } = await info(context, signal);
  return { version: '0.1.0', runtimeName: 'docker', runtimeVersion: ServerVersion, runtimeApiVersion: 'v1' };
}

export async function dockerStatus(
  context: DockerContext,
  request: v1.StatusRequest,
  signal: AbortSignal,
): Promise<v1.StatusResponse> {
  const [docker, network] = await Promise.all([info(context, signal), networkStatus(context, signal)]);
  const features = { recursiveReadOnlyMounts: false, userNamespaces: false };
  return {
    status: {
      conditions: [
        { type: 'RuntimeReady', status: true, reason: '', message: '' },
        { type: 'NetworkReady', status: network.ready, reason: network.reason, message: network.message },
      ],
    },
    runtimeHandlers: ['', ...Object.keys(docker.Runtimes ?? {})].map((name) => ({ name, features })),
    features: { supplementalGroupsPolicy: false, userNamespacesHostNetwork: false },
    info: request.verbose === true ? { docker: JSON.stringify(docker) } : {},
  };
}

export async function dockerRuntimeConfig(
  context: DockerContext,
  signal: AbortSignal,
): Promise<v1.RuntimeConfigResponse> {
  const { CgroupDriver } = await info(context, signal);
  return { linux: { cgroupDriver: CgroupDriver === 'systemd' ? 'SYSTEMD' : 'CGROUPFS' } };
}

async function info(context: DockerContext, signal: AbortSignal): Promise<DockerInfo> {
  return await context.api.call<DockerInfo>({ method: 'GET', path: '/info', verb: 'ask Docker for its state' }, signal);
}

async function networkStatus(
  context: DockerContext,
  signal: AbortSignal,
): ReturnType<DockerContext['deps']['network']['status']> {
  try {
    return await context.deps.network.status(signal);
  } catch (err) {
    signal.throwIfAborted();
    return { ready: false, reason: 'NetworkPluginNotReady', message: errorText(err) };
  }
}
