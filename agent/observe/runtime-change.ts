import type { RuntimeFacts } from '../podloop/pod-facts.js';

/** What an event, or the end of one of our own verbs, says of a sandbox or a container. */
export interface RuntimeChange {
  readonly id: string;
  /** `changed`: something that its state does not show. */
  readonly became: 'created' | 'running' | 'exited' | 'gone' | 'changed';
  /** The sandbox it is in; the id itself for a sandbox. Unknown: what is not known yet can only be found by a list. */
  readonly sandboxId?: string | undefined;
}

/** Whether facts were read after the change: nothing in a runtime goes back to an earlier state. */
export function showsChange({ sandboxes, containers }: RuntimeFacts, { id, became }: RuntimeChange): boolean {
  const sandbox = sandboxes.find((one) => one.id === id);
  const container = containers.find((one) => one.id === id);
  switch (became) {
    case 'created':
      return (sandbox ?? container) !== undefined;
    case 'running':
      return sandbox ? sandbox.ready : container?.state === 'running' || container?.state === 'exited';
    case 'exited':
      return sandbox ? !sandbox.ready : container?.state === 'exited';
    case 'gone':
      return (sandbox ?? container) === undefined;
    case 'changed':
      return false;
  }
}
