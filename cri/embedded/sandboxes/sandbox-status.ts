import type * as v1 from '../../../proto/generated/cri-v1.js';
import { matches, refresh } from '../containers/container-status.js';
import type { RuntimeContext } from '../context.js';
import { emitSandbox } from '../emit-event.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';
import { pinsHold } from './pin-namespaces.js';

const nanos = (ms: number): number => Math.round(ms * 1e6);

/** Ready is looked at each time: a namespace may have been taken away from outside, the reaper may have ended. */
export function sandboxState(context: RuntimeContext, sandbox: SandboxEntry): v1.PodSandboxState {
  if (sandbox.phase !== 'ready') return 'SANDBOX_NOTREADY';
  if (!pinsHold(sandbox.pins)) return becomeNotReady(context, sandbox, 'a namespace is gone');
  if (sandbox.record.pid === 'POD') {
    const init = sandbox.initProcess;
    if (init !== undefined) refresh(context, init, false);
    if (init === undefined || init.phase.kind === 'exited') {
      return becomeNotReady(context, sandbox, 'the init process has ended');
    }
  }
  return 'SANDBOX_READY';
}

function becomeNotReady(context: RuntimeContext, sandbox: SandboxEntry, reason: string): v1.PodSandboxState {
  sandbox.phase = 'not-ready';
  context.deps.log.warn({ sandboxId: sandbox.id, reason }, 'sandbox no longer ready');
  emitSandbox(context, sandbox, 'CONTAINER_STOPPED_EVENT');
  return 'SANDBOX_NOTREADY';
}

export function sandboxStatus(context: RuntimeContext, sandbox: SandboxEntry): v1.PodSandboxStatus {
  const { record } = sandbox;
  const [ip = '', ...more] = record.ready?.ips ?? [];
  return {
    id: record.id,
    metadata: record.metadata,
    state: sandboxState(context, sandbox),
    createdAt: nanos(record.createdAtMs),
    network: { ip, additionalIps: more.map((address) => ({ ip: address })) },
    linux: { namespaces: { options: namespaceOptions(record) } },
    labels: record.labels,
    annotations: record.annotations,
    runtimeHandler: record.runtimeHandler,
  };
}

function namespaceOptions({ network, ipc, pid, userNamespace }: SandboxEntry['record']): v1.NamespaceOption {
  if (userNamespace === undefined) return { network, ipc, pid };
  const mapping = [{ containerId: 0, ...userNamespace }];
  return { network, ipc, pid, usernsOptions: { mode: 'POD', uids: mapping, gids: mapping } };
}

export function listSandboxes(
  context: RuntimeContext,
  filter: v1.PodSandboxFilter | null | undefined,
): v1.ListPodSandboxResponse {
  const wanted = filter?.state?.state;
  const items: v1.PodSandbox[] = [];
  for (const sandbox of context.sandboxes.values()) {
    if (sandbox.phase === 'creating' || !matches(sandbox.record, filter)) continue;
    const state = sandboxState(context, sandbox);
    if (wanted !== undefined && state !== wanted) continue;
    const { record } = sandbox;
    items.push({
      id: record.id,
      metadata: record.metadata,
      state,
      createdAt: nanos(record.createdAtMs),
      labels: record.labels,
      annotations: record.annotations,
      runtimeHandler: record.runtimeHandler,
    });
  }
  return { items };
}
