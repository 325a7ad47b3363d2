import { isObject, kindOf, type JsonObject } from './json.js';
import { isSpecVersion, specVersions, type SpecVersion } from './spec-version.js';

/** One plugin of a network, as configured. */
export interface PluginConfig {
  readonly type: string;
  /** Names of the capabilities it declares. */
  readonly capabilities: readonly string[];
  /** The whole object, unknown keys included: the plugin gets them unchanged. */
  readonly config: JsonObject;
}

/** A network: a configuration list, or a single plugin's configuration read as a list of one. */
export interface NetworkConfig {
  readonly name: string;
  /** Versions of the specification the configuration allows, never empty. */
  readonly versions: readonly SpecVersion[];
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  readonly plugins: readonly PluginConfig[];
  /** The list with every plugin inlined: what is kept with an attachment, so that DEL does not need the file. */
  readonly list: JsonObject;
}

const networkName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** What a configuration file says by itself, before plugins of the folder named after the network are appended. */
export interface ParsedFile {
  readonly value: JsonObject;
  readonly name: string;
  readonly takesFolderPlugins: boolean;
}

/** The first look at a file: enough to know whether more plugins have to be read. Throws with the reason. */
export function parseConfigFile(text: string): ParsedFile {
  const value = parseJson(text);
  const name = parseName(value);
  if ('type' in value && !('plugins' in value)) {
    // A single plugin's configuration, the form before 0.3: the list of one says the same.
    const { name: _, cniVersion, ...plugin } = value;
    const list = { ...(cniVersion === undefined ? {} : { cniVersion }), name, plugins: [plugin] };
    return { value: list, name, takesFolderPlugins: false };
  }
  const inlinedOnly = flag(value, 'loadOnlyInlinedPlugins');
  if (inlinedOnly && !('plugins' in value)) throw new Error('plugins: missing, and loadOnlyInlinedPlugins is true');
  return { value, name, takesFolderPlugins: !inlinedOnly };
}

/** One file of the folder of plugins: a single plugin's configuration. */
export function parsePluginFile(text: string): JsonObject {
  const value = parseJson(text);
  parsePlugin(value, '');
  return value;
}

/** Reads a configuration list; `folderPlugins` are appended to its own. Throws with the path of what is wrong. */
export function parseNetworkConfig(value: unknown, folderPlugins: readonly JsonObject[] = []): NetworkConfig {
  if (!isObject(value)) throw new Error(`expected an object, found ${kindOf(value)}`);
  const inlined = value['plugins'] ?? [];
  if (!Array.isArray(inlined)) throw new Error(`plugins: expected a list, found ${kindOf(inlined)}`);
  const all = [...(inlined as unknown[]), ...folderPlugins];
  if (all.length === 0) throw new Error('plugins: the list is empty');
  return {
    name: parseName(value),
    versions: parseVersions(value),
    disableCheck: flag(value, 'disableCheck'),
    disableGC: flag(value, 'disableGC'),
    plugins: all.map((plugin, index) => parsePlugin(plugin, `plugins[${index}]`)),
    list: folderPlugins.length === 0 ? value : { ...value, plugins: all },
  };
}

function parseJson(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (err) {
    throw new Error(text.trim() === '' ? 'the file is empty' : `not JSON: ${(err as Error).message}`, { cause: err });
  }
  if (!isObject(value)) throw new Error(`expected an object, found ${kindOf(value)}`);
  return value;
}

function parseName(value: JsonObject): string {
  const name = value['name'];
  if (name === undefined) throw new Error('name: missing');
  if (typeof name !== 'string') throw new Error(`name: expected a string, found ${kindOf(name)}`);
  if (!networkName.test(name))
    throw new Error(`name: ${JSON.stringify(name)} is not letters, digits, "_", "." and "-"`);
  return name;
}

/**
 * The versions a list allows. Versions not spoken here are left out, as the specification wants, and are an error only when
 * nothing is left. A list that names none is allowed all: what can be said in an old version can be said in every newer.
 */
function parseVersions(value: JsonObject): readonly SpecVersion[] {
  const single = value['cniVersion'];
  const several = value['cniVersions'] ?? [];
  if (single !== undefined && typeof single !== 'string') {
    throw new Error(`cniVersion: expected a string, found ${kindOf(single)}`);
  }
  if (!Array.isArray(several)) throw new Error(`cniVersions: expected a list, found ${kindOf(several)}`);
  const named = [...(single === undefined || single === '' ? [] : [single]), ...(several as unknown[])];
  if (named.length === 0) return specVersions;
  const versions = named.map((version, index) => {
    if (typeof version !== 'string')
      throw new Error(`cniVersions[${index}]: expected a string, found ${kindOf(version)}`);
    return version;
  });
  const known = [...new Set(versions.filter(isSpecVersion))];
  if (known.length === 0) {
    throw new Error(`cniVersion: ${versions.join(', ')} is not spoken here, only ${specVersions.join(', ')}`);
  }
  return known;
}

/** Booleans are accepted as strings too: the reference library does, and files rely on it. */
function flag(value: JsonObject, key: string): boolean {
  const found = value[key];
  if (found === undefined) return false;
  if (typeof found === 'boolean') return found;
  if (typeof found === 'string' && /^(true|false)$/i.test(found)) return found.toLowerCase() === 'true';
  throw new Error(`${key}: expected true or false, found ${kindOf(found)}`);
}

function parsePlugin(value: unknown, path: string): PluginConfig {
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`);
  if (!isObject(value)) throw new Error(`${path}: expected an object, found ${kindOf(value)}`);
  const { type, capabilities = {} } = value;
  if (type === undefined || type === '') throw new Error(`${at('type')}: missing`);
  if (typeof type !== 'string') throw new Error(`${at('type')}: expected a string, found ${kindOf(type)}`);
  // It becomes a file name in the plugin folders; nothing may lead out of them.
  if (/[/\\\0]/.test(type) || type === '.' || type === '..') {
    throw new Error(`${at('type')}: ${JSON.stringify(type)} cannot be the name of a program`);
  }
  if (!isObject(capabilities))
    throw new Error(`${at('capabilities')}: expected an object, found ${kindOf(capabilities)}`);
  return { type, capabilities: Object.keys(capabilities).filter((key) => capabilities[key] === true), config: value };
}
