import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import type { Pod, PodUid } from '../api/index.js';
import { EventLog } from '../events/event-log.js';
import { PodDevices, type PodDevicesDeps } from './pod-devices.js';

const never = new AbortController().signal;
const uid = 'u1' as PodUid;
const plain: Pod = { metadata: { name: 'plain', uid: 'u0' }, spec: { containers: [{ name: 'main', image: 'i' }] } };
const claiming: Pod = {
  metadata: { name: 'claiming', uid },
  spec: { containers: [{ name: 'main', image: 'i' }], resourceClaims: [{ name: 'c', resourceClaimName: 'claim' }] },
};

/** Claims that are prepared for pods, of a driver that may be out of order. */
class Claims {
  readonly #held = new Set<string>();
  broken = false;

  subscribe(): Disposable {
    return { [Symbol.dispose]: () => {} };
  }

  prepare({ metadata }: { readonly metadata: { readonly uid: string } }): Promise<void> {
    if (this.broken) return Promise.reject(new Error('the driver is out of order'));
    this.#held.add(metadata.uid);
    return Promise.resolve();
  }

  unprepare(podUid: string): Promise<void> {
    this.#held.delete(podUid);
    return Promise.resolve();
  }

  holdsAny(podUid: string): boolean {
    return this.#held.has(podUid);
  }

  holders(): readonly string[] {
    return [...this.#held];
  }

  containerHealth(): never[] {
    return [];
  }

  cdiDevicesOf(): readonly string[] {
    return [];
  }
}

test('pods with claims and without are counted at their start and at their end, as a kubelet counts them', async () => {
  const dra = new Claims();
  const counted: string[] = [];
  const deps: PodDevicesDeps = {
    ...{ clock: systemClock, log: silentLogger, manager: undefined, dra },
    events: new EventLog({ nodeName: 'here', keep: 10 }, { clock: systemClock }),
    metrics: { claimsHandled: (operation, _seconds, failed) => void counted.push(`${operation} ${failed}`) },
  };
  using devices = new PodDevices(deps);
  await devices.prepareClaims(plain, never);
  await devices.release('u0' as PodUid, never);
  expect(counted.splice(0)).toEqual(['PrepareResources false', 'UnprepareResources false']);
  dra.broken = true;
  await expect(devices.prepareClaims(claiming, never)).rejects.toThrow('out of order');
  dra.broken = false;
  await devices.prepareClaims(claiming, never);
  expect(await devices.present()).toEqual([uid]);
  await devices.release(uid, never);
  expect(counted.splice(0)).toEqual(['PrepareResources true', 'PrepareResources false', 'UnprepareResources false']);
  using without = new PodDevices({ ...deps, dra: undefined });
  await without.prepareClaims(plain, never);
  await without.release('u0' as PodUid, never);
  expect(counted).toEqual([]);
});
