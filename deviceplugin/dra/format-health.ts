import type { KnownHealth } from './health-table.js';

/** The kubelet's `dra_health_state`; durations in nanoseconds, as Go writes them. */
export function formatHealth(known: readonly KnownHealth[]): string {
  const drivers: Record<string, { Devices: Record<string, object> }> = {};
  for (const { driver, pool, device, health, message = '', at, timeoutMs } of known) {
    const { Devices } = (drivers[driver] ??= { Devices: {} });
    Devices[`${pool}/${device}`] = {
      PoolName: pool,
      DeviceName: device,
      Health: health,
      LastUpdated: new Date(at).toISOString(),
      HealthCheckTimeout: timeoutMs * 1_000_000,
      Message: message,
    };
  }
  return JSON.stringify(drivers);
}
