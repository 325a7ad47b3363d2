import { orAbort } from '../../base/signals.js';
import type { ControlPlane } from '../controlplane/control-plane.js';

/** In the message of the condition Ready, as the kubelet has it. */
const words = 'node is shutting down';

/**
 * Resolves when the control plane's object of the node says that it shuts down, or no more; at once where there is no such object.
 * The scheduler sends no pods then, and endpoints of this node's pods go before the pods do.
 */
export async function nodeToldOfShutdown(
  nodeName: string,
  shuttingDown: boolean,
  controlPlane: Pick<ControlPlane, 'get' | 'watch'>,
  signal: AbortSignal,
): Promise<void> {
  let change = (): void => {};
  using _watch = controlPlane.watch('Node', '', nodeName, () => change());
  while (true) {
    // Before the look: a change in between is not missed.
    const changed = new Promise<void>((resolve) => {
      change = resolve;
    });
    const node = await controlPlane.get('Node', '', nodeName, signal);
    if (!node) return;
    const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
    if ((ready?.message ?? '').includes(words) === shuttingDown) return;
    await orAbort(changed, signal);
  }
}
