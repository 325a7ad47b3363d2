import { isObject, kindOf, type JsonObject } from './json.js';
import { atLeast, isSpecVersion, type SpecVersion } from './spec-version.js';

export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** The namespace the interface is in; absent for one on the host. */
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface CniIp {
  /** With its prefix: `10.88.0.5/24`. */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface CniRoute {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface CniDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** What ADD gives, in the shape of specification 1.1 whatever version the plugin spoke. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

export const emptyResult: CniResult = { interfaces: [], ips: [], routes: [], dns: {} };

/**
 * Reads a plugin's answer to ADD. `asked` is the version it was called with: what an answer without a version of its own is
 * read as. Throws with the path of the first thing that is wrong.
 */
export function parseResult(value: unknown, asked: SpecVersion): CniResult {
  if (!isObject(value)) throw new Error(`expected an object, found ${kindOf(value)}`);
  if ('code' in value && 'msg' in value) throw new Error(`an error in place of a result: ${JSON.stringify(value)}`);
  const version = optional(value, 'cniVersion', 'string') ?? asked;
  if (!isSpecVersion(version)) throw new Error(`cniVersion: unknown version ${version}`);
  if (!atLeast(version, '0.3.0')) return parseOldResult(value);
  return {
    interfaces: list(value, 'interfaces').map(([item, path]) => parseInterface(item, path)),
    ips: list(value, 'ips').map(([item, path]) => parseIp(item, path)),
    routes: list(value, 'routes').map(([item, path]) => parseRoute(item, path)),
    dns: parseDns(value),
  };
}

/** Versions 0.1 and 0.2 know one address of each family, with its own routes, and no interfaces. */
function parseOldResult(value: JsonObject): CniResult {
  const families = (['ip4', 'ip6'] as const).flatMap((key) => {
    const family = value[key];
    if (family === undefined || family === null) return [];
    if (!isObject(family)) throw new Error(`${key}: expected an object, found ${kindOf(family)}`);
    const address = required(family, 'ip', 'string', key);
    const gateway = optional(family, 'gateway', 'string', key);
    const routes = list(family, 'routes', key).map(([item, path]) => parseRoute(item, path));
    return [{ ip: { address: cidr(address, `${key}.ip`), ...defined({ gateway }) }, routes }];
  });
  return {
    interfaces: [],
    ips: families.map((family) => family.ip),
    routes: families.flatMap((family) => family.routes),
    dns: parseDns(value),
  };
}

function parseInterface(item: unknown, path: string): CniInterface {
  const value = object(item, path);
  return {
    name: required(value, 'name', 'string', path),
    ...defined({
      mac: optional(value, 'mac', 'string', path),
      mtu: optional(value, 'mtu', 'number', path),
      sandbox: optional(value, 'sandbox', 'string', path),
      socketPath: optional(value, 'socketPath', 'string', path),
      pciID: optional(value, 'pciID', 'string', path),
    }),
  };
}

function parseIp(item: unknown, path: string): CniIp {
  const value = object(item, path);
  return {
    address: cidr(required(value, 'address', 'string', path), `${path}.address`),
    ...defined({
      gateway: optional(value, 'gateway', 'string', path),
      interface: optional(value, 'interface', 'number', path),
    }),
  };
}

function parseRoute(item: unknown, path: string): CniRoute {
  const value = object(item, path);
  const numbers = ['mtu', 'advmss', 'priority', 'table', 'scope'] as const;
  return {
    dst: required(value, 'dst', 'string', path),
    ...defined({ gw: optional(value, 'gw', 'string', path) }),
    ...defined(Object.fromEntries(numbers.map((key) => [key, optional(value, key, 'number', path)]))),
  };
}

function parseDns(value: JsonObject): CniDns {
  if (value['dns'] === undefined || value['dns'] === null) return {};
  const dns = object(value['dns'], 'dns');
  return defined({
    nameservers: strings(dns, 'nameservers'),
    domain: optional(dns, 'domain', 'string', 'dns') || undefined,
    search: strings(dns, 'search'),
    options: strings(dns, 'options'),
  });
}

/** The wire form of a result in one version of the specification, for `prevResult`. */
export function encodeResult(result: CniResult, version: SpecVersion): JsonObject {
  const dns = Object.keys(result.dns).length === 0 ? {} : { dns: result.dns };
  if (!atLeast(version, '0.3.0')) return { cniVersion: version, ...encodeOldIps(result), ...dns };
  const old = !atLeast(version, '1.0.0');
  return {
    cniVersion: version,
    ...(result.interfaces.length === 0
      ? {}
      : { interfaces: result.interfaces.map((i) => (old ? oldInterface(i) : i)) }),
    ...(result.ips.length === 0
      ? {}
      : { ips: result.ips.map((ip) => (old ? { version: family(ip.address), ...ip } : ip)) }),
    ...(result.routes.length === 0 ? {} : { routes: old ? result.routes.map(oldRoute) : result.routes }),
    ...dns,
  };
}

function oldInterface({ name, mac, sandbox }: CniInterface): CniInterface {
  return { name, ...defined({ mac, sandbox }) };
}

function oldRoute({ dst, gw }: CniRoute): CniRoute {
  return { dst, ...defined({ gw }) };
}

function encodeOldIps(result: CniResult): JsonObject {
  const pick = (wanted: '4' | '6'): JsonObject | undefined => {
    const ip = result.ips.find((candidate) => family(candidate.address) === wanted);
    if (ip === undefined) return undefined;
    const routes = result.routes.filter((route) => family(route.dst) === wanted).map(oldRoute);
    return { ip: ip.address, ...defined({ gateway: ip.gateway }), ...(routes.length === 0 ? {} : { routes }) };
  };
  return defined({ ip4: pick('4'), ip6: pick('6') });
}

/**
 * The addresses of one interface inside the sandbox, without their prefix, in the plugin's order. An address that names no
 * interface belongs to the one that was asked for.
 */
export function sandboxAddresses(result: CniResult, ifName: string): string[] {
  return result.ips
    .filter((ip) => {
      const at = ip.interface === undefined || ip.interface < 0 ? undefined : result.interfaces[ip.interface];
      return at === undefined || (at.name === ifName && (at.sandbox ?? '') !== '');
    })
    .map((ip) => ip.address.split('/', 1)[0] ?? ip.address);
}

function family(address: string): '4' | '6' {
  return address.includes(':') ? '6' : '4';
}

function cidr(address: string, path: string): string {
  if (!/^[0-9a-fA-F.:]+\/\d{1,3}$/.test(address)) throw new Error(`${path}: not an address with a prefix: ${address}`);
  return address;
}

interface Kinds {
  string: string;
  number: number;
}

function optional<K extends keyof Kinds>(value: JsonObject, key: string, kind: K, path = ''): Kinds[K] | undefined {
  const found = value[key];
  if (found === undefined || found === null) return undefined;
  if (typeof found !== kind) throw new Error(`${join(path, key)}: expected a ${kind}, found ${kindOf(found)}`);
  return found as Kinds[K];
}

function required<K extends keyof Kinds>(value: JsonObject, key: string, kind: K, path: string): Kinds[K] {
  const found = optional(value, key, kind, path);
  if (found === undefined) throw new Error(`${join(path, key)}: missing`);
  return found;
}

function list(value: JsonObject, key: string, path = ''): Array<readonly [unknown, string]> {
  const found = value[key];
  if (found === undefined || found === null) return [];
  if (!Array.isArray(found)) throw new Error(`${join(path, key)}: expected a list, found ${kindOf(found)}`);
  return found.map((item: unknown, index) => [item, `${join(path, key)}[${index}]`] as const);
}

function strings(value: JsonObject, key: string): readonly string[] | undefined {
  const items = list(value, key, 'dns').map(([item, path]) => {
    if (typeof item !== 'string') throw new Error(`${path}: expected a string, found ${kindOf(item)}`);
    return item;
  });
  return items.length === 0 ? undefined : items;
}

function object(value: unknown, path: string): JsonObject {
  if (!isObject(value)) throw new Error(`${path}: expected an object, found ${kindOf(value)}`);
  return value;
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Leaves out what is undefined, so that the wire form has no empty keys. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as Defined<T>;
}
