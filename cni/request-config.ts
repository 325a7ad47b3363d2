import type { JsonObject } from './json.js';
import type { PluginConfig } from './network-config.js';
import { encodeResult, type CniResult } from './result.js';
import type { SpecVersion } from './spec-version.js';

export interface AttachmentId {
  readonly containerId: string;
  readonly ifName: string;
}

/**
 * What one plugin gets on standard input for an attachment (specification, "Deriving request configuration"): its own object
 * with name, version, the previous result, and the arguments of the capabilities it declares.
 */
export function attachmentConfig(
  network: string,
  version: SpecVersion,
  plugin: PluginConfig,
  capabilities: JsonObject,
  prevResult: CniResult | undefined,
): JsonObject {
  const runtimeConfig = Object.fromEntries(
    plugin.capabilities.filter((name) => name in capabilities).map((name) => [name, capabilities[name]]),
  );
  return {
    ...baseConfig(network, version, plugin),
    ...(Object.keys(runtimeConfig).length === 0 ? {} : { runtimeConfig }),
    ...(prevResult === undefined ? {} : { prevResult: encodeResult(prevResult, version) }),
  };
}

export function gcConfig(
  network: string,
  version: SpecVersion,
  plugin: PluginConfig,
  valid: readonly AttachmentId[],
): JsonObject {
  const list = valid.map(({ containerId, ifName }) => ({ containerID: containerId, ifname: ifName }));
  return {
    ...baseConfig(network, version, plugin),
    'cni.dev/valid-attachments': list,
    // The text of the specification once had this name and plugins were written by it (containernetworking/cni#1101).
    'cni.dev/attachments': list,
  };
}

/** The plugin's object without the keys that are the runtime's to set. */
export function baseConfig(network: string, version: SpecVersion, plugin: PluginConfig): JsonObject {
  const own = Object.entries(plugin.config).filter(
    ([key]) => key !== 'capabilities' && key !== 'prevResult' && !key.startsWith('cni.dev/'),
  );
  return { ...Object.fromEntries(own), cniVersion: version, name: network };
}

/** Capabilities that were asked for and no plugin of the network declares: nobody will act on them. */
export function unmetCapabilities(plugins: readonly PluginConfig[], capabilities: JsonObject): string[] {
  return Object.keys(capabilities).filter((name) => !plugins.some((plugin) => plugin.capabilities.includes(name)));
}
