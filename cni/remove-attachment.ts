import type { Clock } from '../base/clock.js';
import { errorText } from '../base/errors.js';
import type { RunProgram } from '../base/run-program.js';
import type { AttachmentIntent, AttachmentRecord } from './attachment-record.js';
import type { AttachmentStore } from './attachment-store.js';
import type { Configuration } from './configuration.js';
import { CniError } from './failure.js';
import { freeUnheld } from './leaked-addresses.js';
import type { NetnsIdentity } from './netns-identity.js';
import { parseNetworkConfig, type NetworkConfig } from './network-config.js';
import type { AttachmentId } from './request-config.js';
import type { NetworkRunner } from './run-network.js';
import type { SpecVersion } from './spec-version.js';
import { leavesMasquerade, sweepMasquerade } from './sweep-masquerade.js';

export interface RemoverDeps {
  readonly store: AttachmentStore;
  readonly configuration: Configuration;
  readonly runner: NetworkRunner;
  readonly netns: NetnsIdentity;
  readonly run: RunProgram;
  readonly clock: Clock;
  /** `PATH` of the programs that are run. */
  readonly path: string;
}

/** Ends attachments: DEL, then what DEL leaves behind, then the record. */
export class AttachmentRemover {
  readonly #deps: RemoverDeps;

  constructor(deps: RemoverDeps) {
    this.#deps = deps;
  }

  /** DEL of one attachment and the end of its record; a failure is written to the record for the next try. */
  async remove(record: AttachmentRecord, signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#deps;
    const { containerId, ifName } = record;
    const id = { containerId, ifName };
    if (record.phase !== 'removing') store.note(id, { entry: 'removing' });
    try {
      if (record.intent !== undefined) await this.#delete(record, record.intent, signal);
      else await this.#deleteLost(id, signal);
      store.remove(id);
    } catch (err) {
      signal.throwIfAborted();
      store.note(id, { entry: 'failed', at: clock.now(), reason: errorText(err) });
      throw err;
    }
  }

  /** For an attachment that only its id is known of: DEL with today's configuration still frees an address, which goes by id. */
  async deleteUnrecorded(
    id: AttachmentId,
    network: NetworkConfig,
    version: SpecVersion,
    signal: AbortSignal,
  ): Promise<void> {
    const unknown = { netns: '', netnsId: 'unknown', args: 'IgnoreUnknown=1', capabilities: {}, since: 0 };
    const intent: AttachmentIntent = { ...id, ...unknown, network: network.name, list: network.list, version };
    const reached = network.plugins.length;
    await this.#delete({ ...id, phase: 'lost', intent, reached, failures: 0, since: 0 }, intent, signal);
  }

  async #delete(record: AttachmentRecord, intent: AttachmentIntent, signal: AbortSignal): Promise<void> {
    const { runner, netns, run, path } = this.#deps;
    const network = parseNetworkConfig(intent.list);
    // What is at the path now may be another pod's namespace: only the one that was attached is handed out.
    const there = (await netns.of(intent.netns)) === intent.netnsId;
    const del = (): Promise<void> => runner.del(network, record, intent, there ? intent.netns : '', signal);
    // A first DEL of a whole attachment in its namespace cleans up by itself, and is the one that has to be fast.
    if (record.phase === 'attached' && there) return await del();
    try {
      await del();
    } catch (err) {
      // After half an ADD `bridge` removes the link, fails on a chain it never made, and has nothing to unmask the second time.
      if (!(err instanceof CniError) || err.failure.code !== 'refused') throw err;
      await del();
    }
    await freeUnheld(network, { run, path }, signal);
    if (!leavesMasquerade(network.plugins)) return;
    await sweepMasquerade(network.name, (containerId) => containerId === record.containerId, { run, path }, signal);
  }

  /** Of a lost record even the network is unknown; the default network is the best guess. */
  async #deleteLost(id: AttachmentId, signal: AbortSignal): Promise<void> {
    const { configuration, runner } = this.#deps;
    const network = configuration.network(undefined);
    const programs = runner.programs.findAll(network);
    await this.deleteUnrecorded(id, network, await runner.programs.negotiate(network, programs, signal), signal);
  }
}
