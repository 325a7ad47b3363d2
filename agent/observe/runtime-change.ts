import type { ContainerStatus, PodSandboxStatus } from '../../proto/generated/cri-v1.js';
import type { ObservedSandbox, RuntimeFacts } from '../podloop/pod-facts.js';

/** What an event, or the end of one of our own verbs, says of a sandbox or a container. */
export interface RuntimeChange {
  readonly id: string;
  /** A sandbox is `running` when it is ready and its addresses are known. */
  readonly became: 'created' | 'running' | 'exited' | 'gone';
  /** The sandbox it is in; the id itself for a sandbox. Unknown: what is not known yet can only be found by a list. */
  readonly sandboxId?: string | undefined;
  /** What the runtime said with it, as it answers when asked for the status. */
  readonly said?: Said | undefined;
}

export type Said =
  | { readonly kind: 'sandbox'; readonly status: PodSandboxStatus }
  | { readonly kind: 'container'; readonly status: ContainerStatus };

/** Whether facts were read after the change: nothing in a runtime goes back to an earlier state. */
export function showsChange({ sandboxes, containers }: RuntimeFacts, { id, became }: RuntimeChange): boolean {
  const sandbox = sandboxes.find((one) => one.id === id);
  const container = containers.find((one) => one.id === id);
  switch (became) {
    case 'created':
      return (sandbox ?? container) !== undefined;
    case 'running':
      return sandbox ? isCompleteSandbox(sandbox) : container?.state === 'running' || container?.state === 'exited';
    case 'exited':
      return sandbox ? !sandbox.ready : container?.state === 'exited';
    case 'gone':
      return (sandbox ?? container) === undefined;
  }
}

/** Ready, with its addresses: one that is seen while it is being made gets them last. */
export function isCompleteSandbox({ ready, hostNetwork, ips }: ObservedSandbox): boolean {
  return ready && (hostNetwork || ips.length > 0);
}
