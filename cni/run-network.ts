import type { CallRecorder, CallSubject } from '../base/call-recorder.js';
import type { Logger } from '../base/log.js';
import { errorText } from '../base/errors.js';
import type { RunProgram } from '../base/run-program.js';
import type { AttachmentIntent, AttachmentRecord } from './attachment-record.js';
import { execPlugin } from './exec-plugin.js';
import { CniError, type CniVerb } from './failure.js';
import type { JsonObject } from './json.js';
import type { NetworkConfig, PluginConfig } from './network-config.js';
import { PluginPrograms, type PluginProgram } from './plugin-programs.js';
import { attachmentConfig, baseConfig, gcConfig, type AttachmentId } from './request-config.js';
import { emptyResult, parseResult, type CniResult } from './result.js';
import { atLeast, type SpecVersion } from './spec-version.js';

export interface CniTimeouts {
  readonly addMs: number;
  readonly delMs: number;
  readonly checkMs: number;
  readonly gcMs: number;
  readonly statusMs: number;
  readonly versionMs: number;
  /** All of the undo after an ADD that failed. */
  readonly undoMs: number;
}

export interface RunNetworkOptions {
  readonly binDirs: readonly string[];
  /** `PATH` for plugins: they start `iptables`, `tc`, ... */
  readonly path: string;
  /** More variables for plugins, such as a proxy. Nothing else of the environment reaches them. */
  readonly extraEnv: Readonly<Record<string, string>>;
  readonly timeouts: CniTimeouts;
}

export interface RunNetworkDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly log: Logger;
}

/** Runs the plugins of a network in the order and with the input that the specification wants. Keeps no state of attachments. */
export class NetworkRunner {
  readonly programs: PluginPrograms;
  readonly #options: RunNetworkOptions;
  readonly #deps: RunNetworkDeps;

  constructor(options: RunNetworkOptions, deps: RunNetworkDeps) {
    this.#options = options;
    this.#deps = deps;
    this.programs = new PluginPrograms(
      { binDirs: options.binDirs, versionMs: options.timeouts.versionMs, path: options.path },
      deps,
    );
  }

  /** ADD, first to last. `onStep` gets the result of each plugin before the next one runs. */
  async add(
    network: NetworkConfig,
    programs: readonly PluginProgram[],
    intent: AttachmentIntent,
    onStep: (result: CniResult, last: boolean) => void,
    signal: AbortSignal,
  ): Promise<CniResult> {
    let result: CniResult | undefined;
    for (const [index, plugin] of network.plugins.entries()) {
      const program = programs[index] ?? this.programs.find(plugin.type);
      const config = attachmentConfig(network.name, intent.version, plugin, intent.capabilities, result);
      const answer = await this.#exec(
        'ADD',
        plugin,
        program,
        config,
        attachmentEnv(intent, intent.netns),
        subjectOf(intent),
        signal,
      );
      result = readResult(answer, plugin, intent.version);
      onStep(result, index === network.plugins.length - 1);
    }
    return result ?? emptyResult;
  }

  /**
   * DEL, last to first, with the result of ADD. Stops at the first plugin that fails: an address must not be given back while
   * rules still point at it. Plugins that never ran may be asked too (they answer with success) but cannot stop it.
   */
  async del(
    network: NetworkConfig,
    record: AttachmentRecord,
    intent: AttachmentIntent,
    netns: string,
    signal: AbortSignal,
  ): Promise<void> {
    // Before 0.4 a plugin did not expect a result on DEL.
    const prevResult = atLeast(intent.version, '0.4.0') ? record.result : undefined;
    for (const [index, plugin] of [...network.plugins.entries()].reverse()) {
      try {
        const program = this.programs.find(plugin.type);
        const config = attachmentConfig(network.name, intent.version, plugin, intent.capabilities, prevResult);
        await this.#exec('DEL', plugin, program, config, attachmentEnv(intent, netns), subjectOf(intent), signal);
      } catch (err) {
        signal.throwIfAborted();
        if (isUnknownContainer(err)) continue;
        if (index < record.reached) throw err;
        this.#deps.log.debug(
          { err, plugin: plugin.type, containerId: intent.containerId },
          'cni plugin that never ran failed DEL',
        );
      }
    }
  }

  /** CHECK, first to last, with the result of ADD; stops at the first that finds something wrong. */
  async check(network: NetworkConfig, intent: AttachmentIntent, result: CniResult, signal: AbortSignal): Promise<void> {
    for (const plugin of network.plugins) {
      const program = this.programs.find(plugin.type);
      const config = attachmentConfig(network.name, intent.version, plugin, intent.capabilities, result);
      await this.#exec(
        'CHECK',
        plugin,
        program,
        config,
        attachmentEnv(intent, intent.netns),
        subjectOf(intent),
        signal,
      );
    }
  }

  /** GC on every plugin; goes on after one that fails and returns all failures. */
  async gc(
    network: NetworkConfig,
    version: SpecVersion,
    valid: readonly AttachmentId[],
    signal: AbortSignal,
  ): Promise<CniError[]> {
    const failures: CniError[] = [];
    for (const plugin of network.plugins) {
      try {
        const program = this.programs.find(plugin.type);
        const config = gcConfig(network.name, version, plugin, valid);
        await this.#exec('GC', plugin, program, config, {}, { object: network.name }, signal);
      } catch (err) {
        signal.throwIfAborted();
        failures.push(asCniError(err));
      }
    }
    return failures;
  }

  /** STATUS on every plugin; rejects with the first that is not ready. */
  async status(network: NetworkConfig, version: SpecVersion, signal: AbortSignal): Promise<void> {
    for (const plugin of network.plugins) {
      const program = this.programs.find(plugin.type);
      const config = baseConfig(network.name, version, plugin);
      await this.#exec('STATUS', plugin, program, config, {}, { object: network.name }, signal);
    }
  }

  async #exec(
    verb: CniVerb,
    plugin: PluginConfig,
    program: PluginProgram,
    config: JsonObject,
    env: Readonly<Record<string, string>>,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<unknown> {
    const { binDirs, path, extraEnv, timeouts } = this.#options;
    return await execPlugin(
      {
        verb,
        plugin: plugin.type,
        path: program.path,
        config,
        env: { ...extraEnv, ...env, PATH: path, CNI_PATH: binDirs.join(':') },
        timeoutMs: timeoutOf(verb, timeouts),
        subject,
      },
      this.#deps,
      signal,
    );
  }
}

function timeoutOf(verb: CniVerb, timeouts: CniTimeouts): number {
  switch (verb) {
    case 'ADD':
      return timeouts.addMs;
    case 'DEL':
      return timeouts.delMs;
    case 'CHECK':
      return timeouts.checkMs;
    case 'GC':
      return timeouts.gcMs;
    case 'STATUS':
      return timeouts.statusMs;
    case 'VERSION':
      return timeouts.versionMs;
  }
}

function attachmentEnv(intent: AttachmentIntent, netns: string): Record<string, string> {
  return {
    CNI_CONTAINERID: intent.containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: intent.ifName,
    CNI_ARGS: intent.args,
  };
}

function subjectOf({ pod, containerId }: AttachmentIntent): CallSubject {
  return { podUid: pod?.uid, podNamespace: pod?.namespace, podName: pod?.name, object: containerId };
}

function readResult(answer: unknown, plugin: PluginConfig, version: SpecVersion): CniResult {
  try {
    return parseResult(answer, version);
  } catch (err) {
    throw new CniError(
      `ADD ${plugin.type}: the answer is not a result: ${errorText(err)}`,
      { code: 'garbled', plugin: plugin.type, verb: 'ADD' },
      { cause: err },
    );
  }
}

/** Code 3: "the runtime does not need to perform any container network cleanup". */
function isUnknownContainer(err: unknown): boolean {
  return err instanceof CniError && err.failure.code === 'refused' && err.failure.cniCode === 3;
}

export function asCniError(err: unknown): CniError {
  if (err instanceof CniError) return err;
  return new CniError(errorText(err), { code: 'no-record' }, { cause: err });
}
