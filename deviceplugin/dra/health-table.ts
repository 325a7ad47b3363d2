import type { NodeWatchResourcesResponse } from '../../proto/generated/dra-health-v1alpha1.js';
import type { AllocatedDeviceStatus } from '../manager/device-health.js';

export interface DraDeviceHealth {
  readonly health: AllocatedDeviceStatus['health'];
  readonly message: string | undefined;
  readonly at: number;
  readonly timeoutMs: number;
}

/** One device's health as it is kept over a restart. */
export interface KnownHealth extends DraDeviceHealth {
  readonly driver: string;
  readonly pool: string;
  readonly device: string;
}

/** What a driver that names no time of its own gets. */
const defaultTimeoutMs = 30_000;
const longestMessage = 1024;

const words = { HEALTHY: 'Healthy', UNHEALTHY: 'Unhealthy', UNKNOWN: 'Unknown' } as const;

const keyOf = (pool: string, device: string): string => `${pool}/${device}`;

/** What drivers last said of their devices. News that grew old is no news: such a device is `Unknown`. */
export class HealthTable {
  readonly #drivers = new Map<string, Map<string, DraDeviceHealth>>();

  get(driver: string, pool: string, device: string, now: number): Pick<DraDeviceHealth, 'health' | 'message'> {
    const known = this.#drivers.get(driver)?.get(keyOf(pool, device));
    if (known === undefined || now - known.at > known.timeoutMs) return { health: 'Unknown', message: undefined };
    return known;
  }

  /** When the next of what is known grows old; undefined while nothing does. */
  nextExpiry(now: number): number | undefined {
    let next: number | undefined;
    for (const { at, timeoutMs } of this.all()) if (next === undefined || at + timeoutMs < next) next = at + timeoutMs;
    return next === undefined ? undefined : Math.max(next + 1, now + 1);
  }

  /** Forgets what grew old; returns the devices, as `pool/device`, by driver. */
  expired(now: number): ReadonlyMap<string, ReadonlySet<string>> {
    const gone = new Map<string, Set<string>>();
    for (const [driver, devices] of this.#drivers) {
      for (const [key, { at, timeoutMs, health, message }] of devices) {
        if (now - at <= timeoutMs) continue;
        devices.delete(key);
        if (health === 'Unknown' && message === undefined) continue;
        gone.set(driver, (gone.get(driver) ?? new Set()).add(key));
      }
    }
    return gone;
  }

  /** Forgets what a driver said; returns the devices, as `pool/device`, whose health is another now. */
  forget(driver: string, now: number): ReadonlySet<string> {
    const devices = this.#drivers.get(driver) ?? new Map<string, DraDeviceHealth>();
    this.#drivers.delete(driver);
    const fresh = [...devices].filter(([, { at, timeoutMs }]) => now - at <= timeoutMs);
    return new Set(fresh.flatMap(([key, { health, message }]) => (health === 'Unknown' && !message ? [] : [key])));
  }

  /** Takes in a report; returns the devices, as `pool/device`, whose health or message is another now. */
  update(driver: string, report: NodeWatchResourcesResponse, now: number): ReadonlySet<string> {
    const devices = this.#drivers.get(driver) ?? new Map<string, DraDeviceHealth>();
    this.#drivers.set(driver, devices);
    const changed = new Set<string>();
    for (const { device, health = 'UNKNOWN', message = '', healthCheckTimeoutSeconds = 0 } of report.devices ?? []) {
      const pool = device?.poolName ?? '';
      const name = device?.deviceName ?? '';
      const before = this.get(driver, pool, name, now);
      const after: DraDeviceHealth = {
        health: words[health],
        message: message === '' ? undefined : shortened(message),
        at: now,
        timeoutMs: healthCheckTimeoutSeconds > 0 ? healthCheckTimeoutSeconds * 1000 : defaultTimeoutMs,
      };
      devices.set(keyOf(pool, name), after);
      if (before.health !== after.health || before.message !== after.message) changed.add(keyOf(pool, name));
    }
    return changed;
  }

  all(): readonly KnownHealth[] {
    return [...this.#drivers].flatMap(([driver, devices]) =>
      [...devices].map(([key, known]) => {
        const pool = key.slice(0, key.lastIndexOf('/'));
        return { ...known, driver, pool, device: key.slice(pool.length + 1) };
      }),
    );
  }

  /** Takes in what was known before a restart. */
  restore(known: readonly KnownHealth[]): void {
    for (const { driver, pool, device, health, message, at, timeoutMs } of known) {
      const devices = this.#drivers.get(driver) ?? new Map<string, DraDeviceHealth>();
      this.#drivers.set(driver, devices);
      const since = timeoutMs > 0 ? timeoutMs : defaultTimeoutMs;
      devices.set(keyOf(pool, device), { health, message, at, timeoutMs: since });
    }
  }
}

const shortened = (message: string): string =>
  message.length <= longestMessage ? message : `${message.slice(0, longestMessage - 3)}...`;
