import type { IdentityMethods, PluginCapability } from '../../../proto/generated/csi-v1.js';
import type { DriverOptions } from './driver-options.js';
import type { Service } from './grpc-service.js';

export function identityService(options: DriverOptions): Service<IdentityMethods> {
  const capabilities: PluginCapability[] = [{ volumeExpansion: { type: 'ONLINE' } }];
  if (options.controller) capabilities.push({ service: { type: 'CONTROLLER_SERVICE' } });
  return {
    getPluginInfo: async () => ({ name: options.name, vendorVersion: '1.0.0' }),
    getPluginCapabilities: async () => ({ capabilities }),
    probe: async () => ({ ready: { value: true } }),
  };
}
