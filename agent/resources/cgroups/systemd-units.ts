import { BerthError } from '../../../base/errors.js';
import { describeEnd, programSucceeded, type RunProgram } from '../../../base/run-program.js';
import { weightOf } from '../cpu-shares.js';
import type { CgroupLimits } from './cgroup-limits.js';
import { sliceOfPath } from './cgroup-names.js';

export class SystemdError extends BerthError<{ code: 'systemd-refused'; verb: string; unit: string }> {}

const callTimeoutMs = 10_000;
const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const service = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'] as const;
/** The largest 64-bit number: systemd's "no limit". */
const infinity = '18446744073709551615';

interface Property {
  readonly name: string;
  /** D-Bus signature and words of the value, as busctl(1) takes them. */
  readonly value: readonly string[];
}

/** Slices of systemd's: it must know of each cgroup below it, or it would take the limits away again at its next reload. */
export class SystemdUnits {
  readonly #run: RunProgram;
  readonly #cgroupVersion: 1 | 2;

  constructor(run: RunProgram, cgroupVersion: 1 | 2) {
    this.#run = run;
    this.#cgroupVersion = cgroupVersion;
  }

  /** Starts a slice, with those above it. One that is there is a success. */
  async startSlice(cgroup: string, limits: CgroupLimits, signal: AbortSignal): Promise<void> {
    const unit = sliceOfPath(cgroup);
    const parent = sliceOfPath(cgroup.slice(0, cgroup.lastIndexOf('/')));
    const properties: Property[] = [
      { name: 'Description', value: ['s', `berth pods ${unit}`] },
      ...(parent === '' ? [] : [{ name: 'Wants', value: ['as', '1', parent] }]),
      { name: 'DefaultDependencies', value: ['b', 'false'] },
      ...['MemoryAccounting', 'CPUAccounting', 'TasksAccounting'].map((name) => ({ name, value: ['b', 'true'] })),
      ...this.#limits(limits),
    ];
    const words = properties.flatMap(({ name, value }) => [name, ...value]);
    await this.#call('StartTransientUnit', unit, [
      'ssa(sv)a(sa(sv))',
      unit,
      'replace',
      String(properties.length),
      ...words,
      '0',
    ]);
    signal.throwIfAborted();
  }

  async setLimits(cgroup: string, limits: CgroupLimits, signal: AbortSignal): Promise<void> {
    const unit = sliceOfPath(cgroup);
    const properties = this.#limits(limits);
    const words = properties.flatMap(({ name, value }) => [name, ...value]);
    await this.#call('SetUnitProperties', unit, ['sba(sv)', unit, 'true', String(properties.length), ...words]);
    signal.throwIfAborted();
  }

  /** Stops a slice; one that is not there is a success. */
  async stopSlice(cgroup: string, signal: AbortSignal): Promise<void> {
    const unit = sliceOfPath(cgroup);
    await this.#call('StopUnit', unit, ['ss', unit, 'replace']);
    signal.throwIfAborted();
  }

  #limits({ cpuShares, cpuQuotaUs, cpuPeriodUs, memoryBytes, pids }: CgroupLimits): Property[] {
    const v2 = this.#cgroupVersion === 2;
    const number = (name: string, value: number): Property => ({
      name,
      value: ['t', value < 0 ? infinity : String(value)],
    });
    const properties: Property[] = [];
    if (cpuShares !== undefined)
      properties.push(v2 ? number('CPUWeight', weightOf(cpuShares)) : number('CPUShares', cpuShares));
    if (cpuQuotaUs !== undefined) {
      const period = cpuPeriodUs ?? 100_000;
      if (v2) properties.push(number('CPUQuotaPeriodUSec', period));
      properties.push(number('CPUQuotaPerSecUSec', cpuQuotaUs < 0 ? -1 : quotaPerSecond(cpuQuotaUs, period)));
    }
    if (memoryBytes !== undefined) properties.push(number(v2 ? 'MemoryMax' : 'MemoryLimit', memoryBytes));
    if (pids !== undefined) properties.push(number('TasksMax', pids));
    return properties;
  }

  /** Not cut short by anybody's signal: whether systemd did it must be known. */
  async #call(verb: string, unit: string, args: readonly string[]): Promise<void> {
    const result = await this.#run(
      { argv: ['busctl', '--system', 'call', ...service, verb, ...args], env, timeoutMs: callTimeoutMs },
      new AbortController().signal,
    );
    if (programSucceeded(result) || isFine(verb, result.stderr)) return;
    throw new SystemdError(`${verb} ${unit}: ${describeEnd(result)}`, { code: 'systemd-refused', verb, unit });
  }
}

/** In whole percents of a CPU, rounded up: systemd refuses anything finer. */
export const quotaPerSecond = (quotaUs: number, periodUs: number): number =>
  Math.ceil((quotaUs * 1_000_000) / periodUs / 10_000) * 10_000;

/** busctl passes errors on as words only. */
function isFine(verb: string, words: string): boolean {
  if (verb === 'StartTransientUnit') return /UnitExists|already exists|already loaded|has a fragment file/.test(words);
  if (verb === 'StopUnit') return /NoSuchUnit|not loaded/.test(words);
  return false;
}
