import { isDeepStrictEqual } from 'node:util';
import type { RegisterRequest } from '../../proto/generated/deviceplugin-v1beta1.js';
import type { WireServices } from '../../proto/wire/index.js';
import { DevicePluginError } from '../device-plugin-error.js';
import { extendedResourceNameProblem } from '../extended-resource-name.js';
import { UnixServer, type ServedService } from '../wire/unix-server.js';
import { endpointSocket } from './plugin-folder.js';

export const supportedVersion = 'v1beta1';

export interface ValidRegistration {
  readonly resource: string;
  readonly socketPath: string;
}

/** Throws `DevicePluginError` with words for the plugin's author. */
export function checkRegistration(request: RegisterRequest, folder: string): ValidRegistration {
  const { version = '', resourceName = '', endpoint = '' } = request;
  checkVersions([version], resourceName);
  checkResourceName(resourceName);
  const socketPath = endpointSocket(folder, endpoint);
  if (socketPath === undefined) {
    throw new DevicePluginError(
      `register ${resourceName}: the endpoint "${endpoint}" must be the name of a socket in ${folder}`,
      { code: 'invalid-registration', what: 'endpoint' },
    );
  }
  return { resource: resourceName, socketPath };
}

export function checkVersions(versions: readonly string[], resource: string): void {
  if (versions.includes(supportedVersion)) return;
  const offered = isDeepStrictEqual(versions, ['']) ? 'no version' : versions.join(', ');
  throw new DevicePluginError(
    `register ${resource}: the plugin speaks ${offered}, this node speaks ${supportedVersion}`,
    { code: 'invalid-registration', what: 'version' },
  );
}

export function checkResourceName(resource: string): void {
  const problem = extendedResourceNameProblem(resource);
  if (problem === undefined) return;
  throw new DevicePluginError(`register "${resource}": not the name of an extended resource: ${problem}`, {
    code: 'invalid-registration',
    what: 'name',
  });
}

/** The socket plugins register on. `register` resolves when the plugin is in use; what it throws is told to the plugin. */
export async function serveRegistration(
  path: string,
  services: WireServices,
  register: (request: RegisterRequest) => Promise<void>,
): Promise<UnixServer> {
  const definitions = async (): Promise<readonly ServedService[]> => {
    const { service: definition } = await services.load('deviceplugin-v1beta1', 'v1beta1.Registration');
    return [
      {
        definition,
        methods: {
          register: async (request) => {
            await register(request);
            return {};
          },
        },
      },
    ];
  };
  return await UnixServer.listen(path, definitions, 0o750);
}
