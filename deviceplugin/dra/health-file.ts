import { z } from 'zod';
import type { KnownHealth } from './health-table.js';

const device = z.object({
  PoolName: z.string(),
  DeviceName: z.string(),
  Health: z.enum(['Healthy', 'Unhealthy', 'Unknown']),
  LastUpdated: z.string(),
  HealthCheckTimeout: z.number().nullish(),
  Message: z.string().nullish(),
});
const file = z.record(z.string(), z.object({ Devices: z.record(z.string(), device).nullish() }));

/** Reads the kubelet's `dra_health_state`; throws with the reason. */
export function parseHealth(text: string): readonly KnownHealth[] {
  return Object.entries(file.parse(JSON.parse(text))).flatMap(([driver, { Devices }]) =>
    Object.values(Devices ?? {}).map((each) => {
      const at = Date.parse(each.LastUpdated);
      if (Number.isNaN(at)) throw new Error(`LastUpdated of ${each.DeviceName} is no time`);
      return {
        driver,
        pool: each.PoolName,
        device: each.DeviceName,
        health: each.Health,
        message: each.Message === '' ? undefined : (each.Message ?? undefined),
        at,
        timeoutMs: (each.HealthCheckTimeout ?? 0) / 1_000_000,
      };
    }),
  );
}
