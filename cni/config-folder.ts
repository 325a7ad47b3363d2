import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { errnoOf, errorText } from '../base/errors.js';
import type { JsonObject } from './json.js';
import { parseConfigFile, parseNetworkConfig, parsePluginFile, type NetworkConfig } from './network-config.js';

/** A file that could not be used; it stops nothing else. */
export interface ConfigProblem {
  readonly file: string;
  readonly reason: string;
}

export interface LoadedNetwork extends NetworkConfig {
  readonly file: string;
}

export interface LoadedFolder {
  /** In the order of their file names; the first is the default network. */
  readonly networks: readonly LoadedNetwork[];
  readonly problems: readonly ConfigProblem[];
  /** Folders whose content was read or would have been: what a watcher has to look at. */
  readonly folders: readonly string[];
}

const extensions = new Set(['.conf', '.conflist', '.json']);

/** Far above any real configuration; keeps a file put there by mistake out of memory. */
const maxFileBytes = 1024 * 1024;

/** Reads every network of a folder. Rejects never: what is wrong is in `problems`. */
export async function loadConfigFolder(folder: string): Promise<LoadedFolder> {
  const problems: ConfigProblem[] = [];
  const folders = [folder];
  const networks: LoadedNetwork[] = [];
  for (const file of await listFiles(folder, extensions, problems)) {
    try {
      const network = await loadFile(folder, file, folders);
      const first = networks.find((other) => other.name === network.name);
      if (first !== undefined) throw new Error(`name: ${network.name} is already the network of ${first.file}`);
      networks.push(network);
    } catch (err) {
      problems.push({ file, reason: errorText(err) });
    }
  }
  return { networks, problems, folders };
}

async function loadFile(folder: string, file: string, folders: string[]): Promise<LoadedNetwork> {
  const parsed = parseConfigFile(await readConfig(file));
  const pluginFolder = join(folder, parsed.name);
  const plugins = parsed.takesFolderPlugins ? await loadPluginFolder(pluginFolder) : [];
  if (parsed.takesFolderPlugins) folders.push(pluginFolder);
  return { ...parseNetworkConfig(parsed.value, plugins), file };
}

/** Since 1.1 plugins of a network may also lie in a folder named after it, beside its list. */
async function loadPluginFolder(folder: string): Promise<JsonObject[]> {
  const problems: ConfigProblem[] = [];
  const plugins: JsonObject[] = [];
  for (const file of await listFiles(folder, new Set(['.conf']), problems)) {
    try {
      plugins.push(parsePluginFile(await readConfig(file)));
    } catch (err) {
      // Without one of its plugins (a firewall, say) the network would be a different one: all or nothing.
      throw new Error(`${file}: ${errorText(err)}`, { cause: err });
    }
  }
  const [problem] = problems;
  if (problem !== undefined) throw new Error(`${problem.file}: ${problem.reason}`);
  return plugins;
}

async function readConfig(file: string): Promise<string> {
  const bytes = await readFile(file);
  if (bytes.length > maxFileBytes)
    throw new Error(`the file has ${bytes.length} bytes, at most ${maxFileBytes} are read`);
  return bytes.toString('utf8');
}

async function listFiles(folder: string, wanted: ReadonlySet<string>, problems: ConfigProblem[]): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory() && wanted.has(extname(entry.name)))
      .map((entry) => entry.name)
      .sort()
      .map((name) => join(folder, name));
  } catch (err) {
    const errno = errnoOf(err);
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR') problems.push({ file: folder, reason: errorText(err) });
    return [];
  }
}
