import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileStamp } from '../base/file-stamp.js';
import { orAbort } from '../base/signals.js';
import { execPlugin, type PluginExecDeps } from './exec-plugin.js';
import { CniError } from './failure.js';
import { isObject } from './json.js';
import type { NetworkConfig } from './network-config.js';
import { newest, newestCommon, specVersions, type SpecVersion } from './spec-version.js';

export interface PluginProgram {
  readonly path: string;
  /** Changes when the file does. */
  readonly stamp: string;
}

export interface PluginProgramsOptions {
  readonly binDirs: readonly string[];
  readonly versionMs: number;
  readonly path: string;
}

/** Finds plugin programs and knows which versions of the specification they speak; asks each program once. */
export class PluginPrograms {
  readonly #options: PluginProgramsOptions;
  readonly #deps: PluginExecDeps;
  readonly #versions = new Map<string, { stamp: string; versions: Promise<readonly string[] | undefined> }>();

  constructor(options: PluginProgramsOptions, deps: PluginExecDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  find(plugin: string): PluginProgram {
    for (const folder of this.#options.binDirs) {
      const path = join(folder, plugin);
      try {
        const file = statSync(path);
        if (file.isFile()) return { path, stamp: fileStamp(file) };
      } catch {
        // Not in this folder, or the folder cannot be read: the next one, as with any search path.
      }
    }
    const searched = this.#options.binDirs;
    throw new CniError(`find plugin ${plugin}: no such program in ${searched.join(', ')}`, {
      code: 'not-found',
      plugin,
      searched,
    });
  }

  /** The programs of all plugins of a network, in its order. */
  findAll(network: NetworkConfig): readonly PluginProgram[] {
    return network.plugins.map((plugin) => this.find(plugin.type));
  }

  /**
   * The newest version that the configuration allows and every plugin speaks. A plugin that does not answer VERSION is taken
   * to speak what it is configured for: it will say so itself when it does not.
   */
  async negotiate(
    network: NetworkConfig,
    programs: readonly PluginProgram[],
    signal: AbortSignal,
  ): Promise<SpecVersion> {
    let allowed = network.versions;
    const known = await Promise.all(
      network.plugins.map(async ({ type }, index) => {
        const program = programs[index];
        return program === undefined ? undefined : await this.#speaks(type, program, signal);
      }),
    );
    for (const [index, supported] of known.entries()) {
      if (supported === undefined) continue;
      const both = allowed.filter((version) => supported.includes(version));
      if (newestCommon(both, supported) === undefined) {
        const plugin = network.plugins[index]?.type ?? '';
        throw new CniError(
          `choose a version for network ${network.name}: plugin ${plugin} speaks ${supported.join(', ')}, wanted is ${allowed.join(' or ')}`,
          { code: 'unsupported-version', plugin, wanted: allowed, supported },
        );
      }
      allowed = both;
    }
    return newest(allowed) ?? specVersions[0];
  }

  async #speaks(plugin: string, program: PluginProgram, signal: AbortSignal): Promise<readonly string[] | undefined> {
    let entry = this.#versions.get(program.path);
    if (entry?.stamp !== program.stamp) {
      entry = { stamp: program.stamp, versions: this.#ask(plugin, program.path) };
      this.#versions.set(program.path, entry);
    }
    return await orAbort(entry.versions, signal);
  }

  /** Shared by all who wait for it, so it ends by its own time limit and not with the first caller's signal. */
  async #ask(plugin: string, path: string): Promise<readonly string[] | undefined> {
    try {
      const answer = await execPlugin(
        {
          verb: 'VERSION',
          plugin,
          path,
          config: { cniVersion: specVersions.at(-1) },
          env: { PATH: this.#options.path, CNI_PATH: this.#options.binDirs.join(':') },
          timeoutMs: this.#options.versionMs,
          subject: {},
        },
        this.#deps,
        new AbortController().signal,
      );
      const supported = isObject(answer) ? answer['supportedVersions'] : undefined;
      const versions = Array.isArray(supported) ? supported.filter((v) => typeof v === 'string') : [];
      return versions.length === 0 ? undefined : versions;
    } catch (err) {
      // What it said is in the recorder. The call that needs the plugin reports what is wrong with it.
      if (!isAnswerOf(err)) this.#versions.delete(path);
      return undefined;
    }
  }
}

/** True when the program itself answered wrongly and would again; false for a program that was killed, slow or busy. */
function isAnswerOf(err: unknown): boolean {
  if (!(err instanceof CniError)) return false;
  const { failure } = err;
  if (failure.code === 'crashed') return failure.exitCode !== null;
  return failure.code === 'refused' || failure.code === 'unsupported-version' || failure.code === 'garbled';
}
