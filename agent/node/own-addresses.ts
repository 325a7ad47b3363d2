import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import { runEvery } from '../../base/run-every.js';
import {
  chooseAddress,
  defaultRoutes,
  reachableAddresses,
  type DefaultRoutes,
  type Family,
  type Interfaces,
} from './host-addresses.js';
import type { HostFacts, LastingHostFacts } from './host-facts.js';

export interface OwnAddressesOptions {
  /** What the node is called; an address, or a name that may stand for one. */
  readonly name: string;
  /** Those of `--node-ip`, primary family first; empty for the machine's own. */
  readonly given: readonly string[];
  /** How often the machine is looked at. */
  readonly everyMs: number;
}

/** What a machine says of itself. */
export interface Surroundings {
  interfaces(): Interfaces;
  routes(families: ReadonlySet<Family>): Promise<DefaultRoutes>;
  /** What a name stands for; empty for nothing, undefined where nobody could say. */
  lookup(name: string): Promise<readonly string[] | undefined>;
}

export interface OwnAddressesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** This machine when absent. */
  readonly surroundings?: Surroundings;
}

const unspecified: Readonly<Record<string, Family>> = { '0.0.0.0': 'IPv4', '::': 'IPv6' };
/** An address of `--node-ip` that only says of which family the machine's own is to be. */
export const standsForAny = (address: string): boolean => address in unspecified;

const loopback = '127.0.0.1';
/** A name is asked for again when links or routes changed, and else this often: the servers of names are not the machine's own. */
const lookupEveryMs = 5 * 60_000;

/**
 * The addresses others reach the node by, followed while the agent runs: a lease of DHCP may end, and a link may come up after the agent.
 * A machine that has none for a while keeps the last ones, as a kubelet leaves them on its node; one that never had any is on loopback.
 */
export class OwnAddresses implements AsyncDisposable {
  readonly #options: OwnAddressesOptions;
  readonly #deps: OwnAddressesDeps;
  readonly #surroundings: Surroundings;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<() => void>();
  #current: readonly string[] = [loopback];
  #looking: Promise<void> = Promise.resolve();
  #named: readonly string[] = [];
  #lookedUpAt = Number.NEGATIVE_INFINITY;
  #seen = '';

  private constructor(options: OwnAddressesOptions, deps: OwnAddressesDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#surroundings = deps.surroundings ?? thisMachine;
  }

  static async open(options: OwnAddressesOptions, deps: OwnAddressesDeps): Promise<OwnAddresses> {
    const own = new OwnAddresses(options, deps);
    const { given, name, everyMs } = options;
    const said = given.length > 0 && !given.some(standsForAny) ? given : undefined;
    const fixed = said ?? (given.length <= 1 && isIP(name) !== 0 ? [name] : undefined);
    if (fixed) {
      own.#current = fixed;
      return own;
    }
    own.#current = await own.#read();
    const what = "looking at the machine's addresses";
    own.#looking = runEvery({ what, everyMs }, () => own.#look(), deps, own.#stop.signal);
    return own;
  }

  get current(): readonly string[] {
    return this.#current;
  }

  onChange(listener: () => void): Disposable {
    const own = (): void => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    await this.#looking;
  }

  async #look(): Promise<void> {
    const now = await this.#read();
    if (now.join() === this.#current.join()) return;
    this.#deps.log.info({ before: this.#current, addresses: now }, 'the addresses of the node changed');
    this.#current = now;
    for (const listener of [...this.#listeners]) listener();
  }

  async #read(): Promise<readonly string[]> {
    const all = reachableAddresses(this.#surroundings.interfaces());
    const routes = await this.#surroundings.routes(new Set(all.map(({ family }) => family)));
    const { given } = this.#options;
    // What a name stands for is one address; of a machine that is to tell two, each is its own.
    const named = given.length > 1 ? [] : await this.#lookUp(JSON.stringify([all, routes]));
    const wanted = given.length > 0 ? given : [undefined];
    const found = wanted.map((address, index) => {
      const family = unspecified[address ?? ''];
      if (address !== undefined && family === undefined) return address;
      const current = this.#current[index];
      return chooseAddress(all, { family, routes, named, current }) ?? current ?? loopback;
    });
    return [...new Set(found)];
  }

  async #lookUp(seen: string): Promise<readonly string[]> {
    const { name } = this.#options;
    const now = this.#deps.clock.now();
    const isDue = seen !== this.#seen || now - this.#lookedUpAt >= lookupEveryMs || now < this.#lookedUpAt;
    if (!isDue) return this.#named;
    this.#named = (await this.#surroundings.lookup(name)) ?? this.#named;
    this.#seen = seen;
    this.#lookedUpAt = now;
    return this.#named;
  }
}

/** The machine with the addresses it has at the time they are asked for. */
export const reachedAt = (host: LastingHostFacts, own: Pick<OwnAddresses, 'current'>): HostFacts => ({
  ...host,
  get addresses() {
    return own.current;
  },
});

const thisMachine: Surroundings = {
  interfaces: () => networkInterfaces(),
  routes: (families) => defaultRoutes(families),
  lookup: (name) => addressesOfName(name),
};

/** A name server that is away must not keep the node from starting. */
const lookupMs = 1000;
const standsForNothing = new Set(['ENOTFOUND', 'ENODATA']);

async function addressesOfName(name: string): Promise<readonly string[] | undefined> {
  const limit = new AbortController();
  try {
    const found = lookup(name, { all: true }).then((all) => all.map(({ address }) => address));
    return await Promise.race([found, delay(lookupMs, undefined, { signal: limit.signal })]);
  } catch (err) {
    return standsForNothing.has((err as NodeJS.ErrnoException).code ?? '') ? [] : undefined;
  } finally {
    limit.abort();
  }
}
