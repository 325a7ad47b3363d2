import type * as v1 from '../../proto/generated/cri-v1.js';
import { containerStatus } from './containers/container-status.js';
import type { RuntimeContext } from './context.js';
import { sandboxStatus } from './sandboxes/sandbox-status.js';

/** Events with the status at the moment of reading, as the interface has them; subscribed from this call on. */
export function runtimeEvents(context: RuntimeContext, signal: AbortSignal): AsyncIterable<v1.ContainerEventResponse> {
  const events = context.events.subscribe(signal);
  return (async function* responses() {
    for await (const event of events) {
      const { sandbox } = event;
      const listed = [...(sandbox?.containers ?? [])].filter((entry) => entry.phase.kind !== 'creating');
      yield {
        containerId: event.id,
        containerEventType: event.type,
        createdAt: event.atMs * 1e6,
        podSandboxStatus:
          sandbox === undefined || sandbox.phase === 'creating' ? undefined : sandboxStatus(context, sandbox),
        containersStatuses: listed.map((entry) => containerStatus(entry)),
      };
    }
  })();
}
