import { mkdirSync } from 'node:fs';
import { isAbortOf } from '../../../base/signals.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import { undoSignal } from '../containers/remove-container.js';
import type { RuntimeContext } from '../context.js';
import { emitSandbox } from '../emit-event.js';
import { SandboxEntry } from '../state/sandbox-entry.js';
import { pinNamespaces } from './pin-namespaces.js';
import { startSandboxInit } from './sandbox-init.js';
import { writeSandboxFiles } from './sandbox-files.js';
import { networkRequest, sandboxNameKey, sandboxRecord } from './sandbox-request.js';
import { releaseSandbox, forgetSandbox } from './stop-sandbox.js';

export async function runSandbox(
  context: RuntimeContext,
  request: v1.RunPodSandboxRequest,
  signal: AbortSignal,
): Promise<v1.RunPodSandboxResponse> {
  const record = sandboxRecord(context, request);
  const key = sandboxNameKey(record);
  const holder = context.names.get(key);
  if (holder !== undefined) throw criError('already-exists', `run sandbox ${key}: it is ${holder}`);
  const sandbox = new SandboxEntry(record);
  context.names.set(key, record.id);
  context.sandboxes.set(record.id, sandbox);
  try {
    await makeSandbox(context, sandbox, request.config ?? {}, signal);
  } catch (err) {
    await undoRun(context, sandbox);
    if (isAbortOf(err, signal)) signal.throwIfAborted();
    throw err;
  }
  emitSandbox(context, sandbox, 'CONTAINER_CREATED_EVENT');
  emitSandbox(context, sandbox, 'CONTAINER_STARTED_EVENT');
  return { podSandboxId: record.id };
}

async function makeSandbox(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  config: v1.PodSandboxConfig,
  signal: AbortSignal,
): Promise<void> {
  const { layout, records, deps } = context;
  const { id } = sandbox;
  await records.writeSandbox(sandbox.record);
  await context.at('sandbox-recorded', id);

  mkdirSync(layout.sandbox(id), { mode: 0o711 });
  writeSandboxFiles(layout, sandbox.record, config.dnsConfig);
  await pinNamespaces(context, sandbox, signal);
  await context.at('sandbox-pinned', id);

  let ips: readonly string[] = [];
  if (sandbox.record.network === 'POD') {
    ips = (await deps.network.attach(networkRequest(context, sandbox.record, config), signal)).ips;
  }
  await context.at('sandbox-attached', id);
  if (sandbox.record.pid === 'POD') await startSandboxInit(context, sandbox, signal);

  sandbox.record = { ...sandbox.record, ready: { ips } };
  await records.writeSandbox(sandbox.record);
  signal.throwIfAborted();
  sandbox.phase = 'ready';
  await context.at('sandbox-ready', id);
}

/** What cannot be undone stays listed as a sandbox that is not ready. */
async function undoRun(context: RuntimeContext, sandbox: SandboxEntry): Promise<void> {
  using deadline = undoSignal('the undo of a sandbox');
  try {
    await releaseSandbox(context, sandbox, deadline.signal);
    await forgetSandbox(context, sandbox);
  } catch (err) {
    sandbox.phase = 'not-ready';
    context.deps.log.error(
      { err, sandboxId: sandbox.id },
      'sandbox not undone, listed as not ready for a later removal',
    );
  }
}
