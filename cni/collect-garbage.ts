import { keyOf } from './attachment-store.js';
import type { Cni, GcReport } from './cni.js';
import type { CniError } from './failure.js';
import { freeUnheld, hostLocalHolders } from './leaked-addresses.js';
import type { LoadedNetwork } from './config-folder.js';
import type { AttachmentRemover, RemoverDeps } from './remove-attachment.js';
import type { AttachmentId } from './request-config.js';
import { asCniError } from './run-network.js';
import { atLeast } from './spec-version.js';
import { leavesMasquerade, sweepMasquerade } from './sweep-masquerade.js';

export interface GarbageDeps extends RemoverDeps {
  readonly remover: AttachmentRemover;
}

/** The work of `Cni.gc`; the caller sees to it that nothing is attached or detached meanwhile. */
export async function collectGarbage(
  valid: Parameters<Cni['gc']>[0],
  deps: GarbageDeps,
  signal: AbortSignal,
): Promise<GcReport> {
  const { store, configuration, remover } = deps;
  const list = [...valid()].map(({ containerId, ifName }) => ({ containerId, ifName }));
  const keep = new Set(list.map(keyOf));
  const removed: AttachmentId[] = [];
  const failures: CniError[] = [];
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (err) {
      signal.throwIfAborted();
      failures.push(asCniError(err));
    }
  };
  for (const record of store.all()) {
    if (keep.has(keyOf(record))) continue;
    await attempt(async () => {
      await remover.remove(record, signal);
      removed.push({ containerId: record.containerId, ifName: record.ifName });
    });
  }
  // What could not be removed is still there: its address must not be given away under the rules that use it.
  const standing = [...list, ...store.all().filter((record) => !keep.has(keyOf(record)))];
  // The folder may hold networks of other runtimes, whose attachments are not in our list and would be taken for garbage.
  for (const name of store.usedNetworks) {
    const network = configuration.find(name);
    if (network === undefined || network.disableGC) continue;
    await attempt(async () => {
      failures.push(...(await collectNetwork(network, standing, deps, signal)));
    });
  }
  return { removed, failures };
}

/** GC where the version has it; then what the plugins of the CNI project keep without a GC of their own. */
async function collectNetwork(
  network: LoadedNetwork,
  standing: readonly AttachmentId[],
  deps: GarbageDeps,
  signal: AbortSignal,
): Promise<CniError[]> {
  const { runner, remover, run, path } = deps;
  const programs = runner.programs.findAll(network);
  const version = await runner.programs.negotiate(network, programs, signal);
  const failures = atLeast(version, '1.1.0') ? await runner.gc(network, version, standing, signal) : [];
  const keys = new Set(standing.map(keyOf));
  for (const id of await hostLocalHolders(network)) {
    if (!keys.has(keyOf(id))) await remover.deleteUnrecorded(id, network, version, signal);
  }
  await freeUnheld(network, { run, path }, signal);
  if (leavesMasquerade(network.plugins)) {
    const alive = new Set(standing.map((id) => id.containerId));
    await sweepMasquerade(network.name, (containerId) => !alive.has(containerId), { run, path }, signal);
  }
  return failures;
}
