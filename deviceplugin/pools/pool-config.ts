import { DevicePluginError } from '../device-plugin-error.js';
import { extendedResourceNameProblem } from '../extended-resource-name.js';

/** Devices of this host offered as a resource, without a plugin. */
export interface DevicePoolConfig {
  /** `example.com/serial`. */
  readonly resource: string;
  /** Absolute paths; `*`, `?` and `[...]` stand for parts of one name: `/dev/ttyUSB*`. */
  readonly paths: readonly string[];
  /** What containers may do: some of `r`, `w`, `m`. Default `rw`. */
  readonly permissions?: string | undefined;
  /** How many containers may have one device at a time. Default 1. */
  readonly share?: number | undefined;
}

export interface PoolProblem {
  /** `devicePools[0].paths`. */
  readonly path: string;
  readonly message: string;
}

/** Throws `DevicePluginError` that lists every problem with its path. */
export function checkPools(pools: readonly DevicePoolConfig[]): void {
  const problems = poolProblems(pools).map(({ path, message }) => `${path}: ${message}`);
  if (problems.length > 0) {
    throw new DevicePluginError(`offer device pools: ${problems.join('; ')}`, { code: 'invalid-pools' });
  }
}

export function poolProblems(pools: readonly DevicePoolConfig[]): readonly PoolProblem[] {
  const problems: PoolProblem[] = [];
  const seen = new Set<string>();
  for (const [at, pool] of pools.entries()) {
    const say = (field: string, message: string): void =>
      void problems.push({ path: `devicePools[${at}].${field}`, message });
    const nameProblem = extendedResourceNameProblem(pool.resource);
    if (nameProblem !== undefined) say('resource', `"${pool.resource}": ${nameProblem}`);
    if (seen.has(pool.resource)) say('resource', `"${pool.resource}" is offered twice`);
    seen.add(pool.resource);
    if (pool.paths.length === 0) say('paths', 'at least one is needed');
    for (const [index, path] of pool.paths.entries()) {
      if (!path.startsWith('/')) say(`paths[${index}]`, `"${path}" is not absolute`);
      else if (path.split('/').includes('..')) say(`paths[${index}]`, `"${path}" holds ".."`);
      else if (path.includes('#')) say(`paths[${index}]`, `"${path}" holds "#", which separates shares`);
    }
    if (!/^[rwm]{1,3}$/.test(pool.permissions ?? 'rw')) {
      say('permissions', `"${pool.permissions}" is not some of "r", "w" and "m"`);
    }
    const { share = 1 } = pool;
    if (!Number.isInteger(share) || share < 1 || share > 1000) say('share', `${share} is not 1 to 1000`);
  }
  return problems;
}
