import { DevicePluginError } from '../device-plugin-error.js';
import { awayReason, goneAt, type ResourceEntry } from '../devices/resource-table.js';

/** Why a pod cannot have its devices yet. It is asked again when something changes, at the latest at `until`. */
export interface DeviceWait {
  readonly kind: 'wait';
  readonly resource: string;
  /** Milliseconds since the epoch: from then on the pod is refused. */
  readonly until: number;
  readonly reason: string;
}

/**
 * Whether devices of these resources can be handed out now. A plugin that was here before is waited for: after a restart
 * of the agent or the machine it comes back by itself a moment later, and a refused pod would not. Throws when it stayed
 * away past its grace.
 */
export function waitForPlugins(
  entries: readonly ResourceEntry[],
  now: number,
  graceMs: number,
): DeviceWait | undefined {
  let wait: DeviceWait | undefined;
  for (const entry of entries) {
    const reason = awayReason(entry);
    if (reason === undefined) continue;
    const until = goneAt(entry.state, graceMs) ?? now;
    if (now >= until) {
      const words = `${reason}, and did not come back within ${Math.round(graceMs / 1000)} s`;
      throw new DevicePluginError(`allocate ${entry.resource}: ${words}`, {
        code: 'plugin-absent',
        resource: entry.resource,
      });
    }
    if (wait === undefined || until < wait.until) wait = { kind: 'wait', resource: entry.resource, until, reason };
  }
  return wait;
}
