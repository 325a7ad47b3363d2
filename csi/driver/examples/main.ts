import { join } from 'node:path';
import type { RegistrationMethods } from '../../../proto/generated/pluginregistration-v1.js';
import { serviceDefinition } from '../../../proto/load.js';
import { controllerService } from './controller-service.js';
import { parseDriverOptions, usage, type DriverOptions } from './driver-options.js';
import { Faults } from './faults.js';
import { implement, listen, type Service } from './grpc-service.js';
import { identityService } from './identity-service.js';
import { nodeService } from './node-service.js';
import { VolumeLocks } from './volume-locks.js';
import { VolumeStore } from './volume-store.js';

/** A small complete CSI driver: volumes are folders or disk images below one folder. */
async function main(options: DriverOptions): Promise<void> {
  const faults = new Faults(process.env['EXAMPLE_CSI_FAULTS']);
  const store = new VolumeStore(options.folder);
  const locks = new VolumeLocks();
  const services = [
    [serviceDefinition('csi-v1', 'csi.v1.Identity'), implement(identityService(options), faults)],
    [serviceDefinition('csi-v1', 'csi.v1.Node'), implement(nodeService(options, store, locks), faults)],
    ...(options.controller
      ? [
          [
            serviceDefinition('csi-v1', 'csi.v1.Controller'),
            implement(controllerService(options, store, locks), faults),
          ] as const,
        ]
      : []),
  ] as const;
  const servers = [await listen(options.socket, services)];
  if (options.registry !== undefined) {
    // The driver listens before it registers: the agent calls it at once.
    const definition = serviceDefinition('pluginregistration-v1', 'pluginregistration.Registration');
    const socket = join(options.registry, `${options.name}-reg.sock`);
    servers.push(await listen(socket, [[definition, implement(registrationService(options), faults)]]));
  }
  const stop = (): void => {
    // Closing a server removes its socket, and that takes the driver out of use.
    for (const server of servers) server.tryShutdown(() => {});
    setTimeout(() => process.exit(0), 2000).unref();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  console.log(JSON.stringify({ driver: options.name, socket: options.socket }));
}

/** What the sidecar node-driver-registrar does for drivers that do not speak to the kubelet themselves. */
function registrationService(options: DriverOptions): Service<RegistrationMethods> {
  return {
    getInfo: async () => ({
      type: 'CSIPlugin',
      name: options.name,
      endpoint: options.socket,
      supportedVersions: ['1.0.0'],
    }),
    notifyRegistrationStatus: async ({ pluginRegistered, error }) => {
      console.log(JSON.stringify(pluginRegistered ? { registered: true } : { registered: false, error }));
      return {};
    },
  };
}

try {
  await main(parseDriverOptions(process.argv.slice(2)));
} catch (err) {
  console.error(err instanceof Error ? err.message : err);
  console.error(usage);
  process.exitCode = 2;
}
