import { expect, test } from 'vitest';
import type { Clock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { onAbort } from '../../base/signals.js';
import type { DefaultRoutes, Interfaces } from './host-addresses.js';
import { OwnAddresses, type OwnAddressesOptions, type Surroundings } from './own-addresses.js';

const everyMs = 10_000;
const v4 = (address: string) => ({ address, family: 'IPv4' as const, internal: false });
const v6 = (address: string) => ({ address, family: 'IPv6' as const, internal: false });

/** A machine whose links, routes and name are what a test says, and whose time passes when it says so. */
class Machine implements Surroundings, Clock {
  links: Interfaces = {};
  defaults: DefaultRoutes = {};
  /** Undefined: nobody answers. */
  named: readonly string[] | undefined = [];
  lookups = 0;
  #now = 0;
  #waking: (() => void) | undefined;
  #slept: (() => void) | undefined;

  now(): number {
    return this.#now;
  }

  sleep(_ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const unlink = onAbort(signal, () => reject(signal.reason as Error));
      this.#waking = () => {
        unlink();
        resolve();
      };
      this.#slept?.();
    });
  }

  /** Resolves when the machine was looked at again. */
  async tick(): Promise<void> {
    this.#now += everyMs;
    const slept = new Promise<void>((resolve) => (this.#slept = resolve));
    this.#waking?.();
    await slept;
  }

  interfaces(): Interfaces {
    return this.links;
  }

  routes(): Promise<DefaultRoutes> {
    return Promise.resolve(this.defaults);
  }

  lookup(): Promise<readonly string[] | undefined> {
    this.lookups++;
    return Promise.resolve(this.named);
  }

  open(options: Partial<OwnAddressesOptions> = {}): Promise<OwnAddresses> {
    const deps = { clock: this, log: silentLogger, surroundings: this };
    return OwnAddresses.open({ name: 'node-1', given: [], everyMs, ...options }, deps);
  }
}

test('a link that comes up after the agent, a lease that ends, a time without any address', async () => {
  const machine = new Machine();
  await using own = await machine.open();
  const told: string[][] = [];
  using _listener = own.onChange(() => told.push([...own.current]));
  expect(own.current).toEqual(['127.0.0.1']);
  machine.links = { eth0: [v4('10.0.0.7')] };
  await machine.tick();
  await machine.tick();
  machine.links = {};
  await machine.tick();
  expect(own.current).toEqual(['10.0.0.7']);
  machine.links = { eth0: [v4('10.0.0.8')] };
  await machine.tick();
  expect(told).toEqual([['10.0.0.7'], ['10.0.0.8']]);
});

test('the one it has stays while others come beside it, and goes where the default route goes', async () => {
  const machine = new Machine();
  machine.links = { eth0: [v6('fd00::1')] };
  machine.defaults = { IPv6: 'eth0' };
  await using own = await machine.open();
  // As temporary addresses come: the newest is the first.
  machine.links = { eth0: [v6('fd00::2'), v6('fd00::1')] };
  await machine.tick();
  expect(own.current).toEqual(['fd00::1']);
  machine.links = { ...machine.links, wlan0: [v6('fd01::1')] };
  machine.defaults = { IPv6: 'wlan0' };
  await machine.tick();
  expect(own.current).toEqual(['fd01::1']);
});

test('a name is asked for when links or routes change, and else rarely; links of pods are none of them', async () => {
  const machine = new Machine();
  machine.links = { eth0: [v4('10.0.0.7')], lan: [v4('192.168.7.4')] };
  machine.defaults = { IPv4: 'eth0' };
  machine.named = ['192.168.7.4'];
  await using own = await machine.open();
  expect(own.current).toEqual(['192.168.7.4']);
  for (let pods = 1; pods < 20; pods++) {
    machine.links = { ...machine.links, [`veth${pods}`]: [v6(`fe80::${pods}`)] };
    await machine.tick();
  }
  expect(machine.lookups).toBe(1);
  // Its servers may be away for a while: what they said last holds.
  machine.named = undefined;
  machine.links = { ...machine.links, other: [v4('10.9.9.9')] };
  await machine.tick();
  expect([machine.lookups, own.current]).toEqual([2, ['192.168.7.4']]);
  machine.named = ['10.0.0.7'];
  for (let ticks = 0; ticks < 29; ticks++) await machine.tick();
  expect([machine.lookups, own.current]).toEqual([2, ['192.168.7.4']]);
  await machine.tick();
  expect([machine.lookups, own.current]).toEqual([3, ['10.0.0.7']]);
});

test.each<[string, Partial<OwnAddressesOptions>, readonly string[]]>([
  ['both are given', { given: ['10.1.1.1', 'fd00::9'] }, ['10.1.1.1', 'fd00::9']],
  ['the name is one', { name: '10.2.2.2' }, ['10.2.2.2']],
  ['the name is one, whatever family is asked for', { name: '10.2.2.2', given: ['::'] }, ['10.2.2.2']],
])('nothing is looked at where %s', async (_what, options, addresses) => {
  const machine = new Machine();
  machine.interfaces = () => {
    throw new Error('looked at');
  };
  await using own = await machine.open(options);
  expect(own.current).toEqual(addresses);
});

test('addresses that stand for any are those of their family, now and later', async () => {
  const machine = new Machine();
  machine.links = { eth0: [v4('10.0.0.7'), v6('fd00::7')] };
  await using six = await machine.open({ given: ['::'] });
  expect(six.current).toEqual(['fd00::7']);
  const other = new Machine();
  other.links = machine.links;
  await using both = await other.open({ given: ['0.0.0.0', '::'] });
  expect(both.current).toEqual(['10.0.0.7', 'fd00::7']);
  other.links = { eth0: [v4('10.0.0.8'), v6('fd00::7')] };
  await other.tick();
  expect(both.current).toEqual(['10.0.0.8', 'fd00::7']);
});
