import { noRecorder, type CallRecorder } from '../base/call-recorder.js';
import { systemClock, type Clock } from '../base/clock.js';
import { errorText } from '../base/errors.js';
import { KeyedLock } from '../base/fifo-limit.js';
import { silentLogger, type Logger } from '../base/log.js';
import { runProgram, type RunProgram } from '../base/run-program.js';
import { linkSignal } from '../base/signals.js';
import {
  checkAttachRequest,
  checkContainerId,
  checkIfName,
  defaultIfName,
  wireArgs,
  wireCapabilities,
  type AttachRequest,
} from './attach-request.js';
import type { AttachmentIntent, AttachmentRecord } from './attachment-record.js';
import { AttachmentStore, keyOf } from './attachment-store.js';
import type { Attached, Attachment, Cni, CniOptions, CniStatus, DetachRequest, GcReport } from './cni.js';
import { collectGarbage, type GarbageDeps } from './collect-garbage.js';
import { Configuration, type ConfigState } from './configuration.js';
import { endOrphans } from './end-orphans.js';
import { CniError } from './failure.js';
import { NetnsIdentity } from './netns-identity.js';
import { parseNetworkConfig, type NetworkConfig } from './network-config.js';
import { AttachmentRemover } from './remove-attachment.js';
import { unmetCapabilities, type AttachmentId } from './request-config.js';
import { sandboxAddresses, type CniResult } from './result.js';
import { asCniError, NetworkRunner, type CniTimeouts } from './run-network.js';
import { SharedLock } from './shared-lock.js';
import { atLeast } from './spec-version.js';

export interface CniDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly clock: Clock;
}

export const defaultTimeouts: CniTimeouts = {
  addMs: 60_000,
  delMs: 60_000,
  checkMs: 30_000,
  gcMs: 60_000,
  statusMs: 10_000,
  versionMs: 5_000,
  undoMs: 60_000,
};

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const loopbackNetwork: NetworkConfig = parseNetworkConfig({
  name: 'cni-loopback',
  cniVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'],
  plugins: [{ type: 'loopback' }],
});

/**
 * Opens the network side of a node: reads configuration and records, ends plugins that an earlier run left behind. Calls no
 * plugin. One process at a time may use a cache folder. What `deps` leaves out is the real thing, without records and log.
 */
export async function openCni(options: CniOptions, deps: Partial<CniDeps>, signal: AbortSignal): Promise<Cni> {
  signal.throwIfAborted();
  const all: CniDeps = { run: runProgram, recorder: noRecorder, log: silentLogger, clock: systemClock, ...deps };
  const store = await AttachmentStore.open(options.cacheDir, all);
  const interrupted = store.all().filter(({ phase }) => phase === 'adding' || phase === 'removing');
  const orphans = await endOrphans(interrupted, all.clock, signal);
  if (orphans.length > 0) all.log.warn({ pids: orphans }, 'cni plugins of an earlier run ended');
  const configuration = await Configuration.open(options.confDir, all.log);
  return new ExecCni(options, all, store, configuration);
}

class ExecCni implements Cni {
  readonly #options: CniOptions;
  readonly #deps: CniDeps;
  readonly #store: AttachmentStore;
  readonly #configuration: Configuration;
  readonly #runner: NetworkRunner;
  readonly #timeouts: CniTimeouts;
  readonly #remover: AttachmentRemover;
  readonly #garbage: GarbageDeps;
  readonly #netns = new NetnsIdentity();
  readonly #containers = new KeyedLock();
  readonly #gate = new SharedLock();

  constructor(options: CniOptions, deps: CniDeps, store: AttachmentStore, configuration: Configuration) {
    this.#options = options;
    this.#deps = deps;
    this.#store = store;
    this.#configuration = configuration;
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts };
    const { binDirs, extraEnv = {}, path = defaultPath } = options;
    this.#runner = new NetworkRunner({ binDirs, extraEnv, path, timeouts: this.#timeouts }, deps);
    const { run, clock } = deps;
    const removal = { store, configuration, runner: this.#runner, netns: this.#netns, run, clock, path };
    this.#remover = new AttachmentRemover(removal);
    this.#garbage = { ...removal, remover: this.#remover };
  }

  get configuration(): ConfigState {
    return this.#configuration.state;
  }

  onChange(listener: (state: ConfigState) => void): () => void {
    return this.#configuration.onChange(listener);
  }

  attachments(): readonly Attachment[] {
    return this.#store.all().map(attachmentOf);
  }

  async attach(request: AttachRequest, signal: AbortSignal): Promise<Attached> {
    checkAttachRequest(request);
    const id = { containerId: request.containerId, ifName: request.ifName ?? defaultIfName };
    return await this.#exclusively(id.containerId, () => this.#attach(request, id, signal), signal);
  }

  async detach(request: DetachRequest, signal: AbortSignal): Promise<void> {
    checkContainerId(request.containerId);
    if (request.ifName !== undefined) checkIfName(request.ifName);
    await this.#exclusively(
      request.containerId,
      async () => {
        for (const record of this.#recordsOf(request).reverse()) await this.#remover.remove(record, signal);
      },
      signal,
    );
  }

  async check(request: DetachRequest, signal: AbortSignal): Promise<'checked' | 'unsupported'> {
    checkContainerId(request.containerId);
    return await this.#exclusively(
      request.containerId,
      async () => {
        const outcomes: boolean[] = [];
        for (const record of this.#recordsOf(request)) outcomes.push(await this.#check(record, signal));
        return outcomes.includes(true) ? 'checked' : 'unsupported';
      },
      signal,
    );
  }

  async gc(valid: () => Iterable<AttachmentId>, signal: AbortSignal): Promise<GcReport> {
    return await this.#gate.alone(() => collectGarbage(valid, this.#garbage, signal), signal);
  }

  async status(signal: AbortSignal): Promise<CniStatus> {
    const state = this.#configuration.state;
    if (state.kind !== 'ready') return { ready: false, reason: state.reason };
    try {
      const network = this.#configuration.network(undefined);
      const programs = this.#runner.programs.findAll(network);
      const version = await this.#runner.programs.negotiate(network, programs, signal);
      if (atLeast(version, '1.1.0')) await this.#runner.status(network, version, signal);
      return { ready: true, network: network.name, version };
    } catch (err) {
      signal.throwIfAborted();
      return { ready: false, reason: errorText(err), failure: asCniError(err).failure };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#configuration[Symbol.dispose]();
  }

  /** One at a time for a container and none while garbage is collected, as the specification demands. */
  async #exclusively<T>(containerId: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return await this.#gate.shared(() => this.#containers.run(containerId, work, signal), signal);
  }

  #recordsOf({ containerId, ifName }: DetachRequest): AttachmentRecord[] {
    return this.#store.ofContainer(containerId).filter((r) => ifName === undefined || r.ifName === ifName);
  }

  async #attach(request: AttachRequest, id: AttachmentId, signal: AbortSignal): Promise<Attached> {
    const netnsId = await this.#netns.of(request.netns);
    if (netnsId === undefined) {
      throw new CniError(`attach ${id.containerId}: no namespace at ${request.netns}`, {
        code: 'no-namespace',
        netns: request.netns,
      });
    }
    const known = this.#store.get(id);
    if (known !== undefined) {
      const standing = await this.#standing(known, request, netnsId, signal);
      if (standing !== undefined) return standing;
      await this.#remover.remove(this.#store.get(id) ?? known, signal);
    }
    const network = this.#configuration.network(request.network);
    const programs = this.#runner.programs.findAll(network);
    const version = await this.#runner.programs.negotiate(network, programs, signal);
    const intent: AttachmentIntent = {
      ...id,
      network: network.name,
      list: network.list,
      version,
      netns: request.netns,
      netnsId,
      args: wireArgs(request),
      capabilities: wireCapabilities(request.capabilities),
      pod: request.pod,
      since: this.#deps.clock.now(),
    };
    if (this.#options.loopback === 'plugin') await this.#addLoopback(intent, signal);
    try {
      return attachedOf(intent, network, await this.#add(network, programs, intent, signal));
    } catch (err) {
      await this.#undo(id, err);
      throw err;
    }
  }

  async #add(
    network: NetworkConfig,
    programs: Parameters<NetworkRunner['add']>[1],
    intent: AttachmentIntent,
    signal: AbortSignal,
  ): Promise<CniResult> {
    using record = this.#store.begin(intent);
    const onStep = (result: CniResult, last: boolean): void =>
      record.write(last ? { entry: 'attached', result } : { entry: 'step', result });
    return await this.#runner.add(network, programs, intent, onStep, signal);
  }

  /** An attachment that is already as asked for. Repeating a call after a crash is not an error. */
  async #standing(
    record: AttachmentRecord,
    request: AttachRequest,
    netnsId: string,
    signal: AbortSignal,
  ): Promise<Attached | undefined> {
    const { intent, result, phase } = record;
    if (phase !== 'attached' || intent === undefined || result === undefined) return undefined;
    if (intent.netnsId !== netnsId || intent.netns !== request.netns) return undefined;
    if (request.network !== undefined && request.network !== intent.network) return undefined;
    try {
      // A new namespace may have the number of one that went; the plugins see whether their interface is in it.
      await this.#check(record, signal);
    } catch (err) {
      signal.throwIfAborted();
      this.#deps.log.warn({ err, containerId: record.containerId }, 'cni attachment does not pass CHECK, made anew');
      this.#store.note(record, { entry: 'removing' });
      return undefined;
    }
    return attachedOf(intent, parseNetworkConfig(intent.list), result);
  }

  /** The interface `lo` goes with its namespace, so nothing is recorded for it. */
  async #addLoopback(intent: AttachmentIntent, signal: AbortSignal): Promise<void> {
    const programs = this.#runner.programs.findAll(loopbackNetwork);
    const version = await this.#runner.programs.negotiate(loopbackNetwork, programs, signal);
    const lo = { ...intent, network: loopbackNetwork.name, version, ifName: 'lo', capabilities: {} };
    await this.#runner.add(loopbackNetwork, programs, lo, () => {}, signal);
  }

  /** Takes back what a failed ADD did, under its own deadline. What cannot be taken back stays recorded. */
  async #undo(id: AttachmentId, cause: unknown): Promise<void> {
    const record = this.#store.get(id);
    if (record === undefined) return;
    using limit = linkSignal(new AbortController().signal, { timeoutMs: this.#timeouts.undoMs, what: 'undo of ADD' });
    try {
      await this.#remover.remove(record, limit.signal);
    } catch (err) {
      this.#deps.log.warn({ err, cause, ...id }, 'cni attachment not undone, kept for another try');
    }
  }

  async #check(record: AttachmentRecord, signal: AbortSignal): Promise<boolean> {
    const { intent, result, phase } = record;
    if (phase !== 'attached' || intent === undefined || result === undefined) {
      throw new CniError(`check ${keyOf(record)}: it is not attached (${phase})`, { code: 'no-record' });
    }
    const network = parseNetworkConfig(intent.list);
    if (network.disableCheck || !atLeast(intent.version, '0.4.0')) return false;
    await this.#runner.check(network, intent, result, signal);
    return true;
  }
}

function attachedOf(intent: AttachmentIntent, network: NetworkConfig, result: CniResult): Attached {
  return {
    network: intent.network,
    ifName: intent.ifName,
    version: intent.version,
    result,
    addresses: sandboxAddresses(result, intent.ifName),
    unmetCapabilities: unmetCapabilities(network.plugins, intent.capabilities),
  };
}

function attachmentOf(record: AttachmentRecord): Attachment {
  const { containerId, ifName, phase, intent, result, failures, lastError, since } = record;
  return {
    containerId,
    ifName,
    phase,
    since,
    failures,
    lastError,
    network: intent?.network,
    netns: intent?.netns,
    pod: intent?.pod,
    addresses: result === undefined ? [] : sandboxAddresses(result, ifName),
    result,
  };
}
