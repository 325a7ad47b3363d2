import type { Duplex } from 'node:stream';
import { criError } from '../../contract/cri-error.js';
import { forwardConnection } from '../../streaming/forward-connection.js';
import type { RuntimeContext } from '../context.js';
import { sandboxState } from '../sandboxes/sandbox-status.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';

/** One connection to a port on the sandbox's loopback. */
export async function forwardPort(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  port: number,
  connection: Duplex,
  signal: AbortSignal,
): Promise<void> {
  if (sandboxState(context, sandbox) !== 'SANDBOX_READY') {
    throw criError('failed-precondition', `forward port ${port}: sandbox ${sandbox.id} is not ready`);
  }
  const onHost = sandbox.record.network === 'NODE';
  // The tables of any process in the namespace tell; without one nothing can listen.
  const inside = [...sandbox.containers].map((entry) => entry.init).find((init) => init !== undefined);
  const procNet = onHost ? '/proc/self/net' : inside && `/proc/${inside.pid}/net`;
  const netnsPath = onHost ? undefined : context.layout.namespace(sandbox.id, 'net');
  await forwardConnection(connection, { sandboxId: sandbox.id, port, procNet, netnsPath }, signal);
}
