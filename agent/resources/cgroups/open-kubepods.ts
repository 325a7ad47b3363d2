import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { RunProgram } from '../../../base/run-program.js';
import { CgroupFiles } from './cgroup-files.js';
import type { CgroupLimits } from './cgroup-limits.js';
import { cgroupNames, type CgroupDriver } from './cgroup-names.js';
import type { CgroupHierarchy } from './hierarchy.js';
import { Kubepods } from './kubepods.js';
import type { PodLimitOptions } from './pod-limits.js';
import { SystemdUnits } from './systemd-units.js';

export interface OpenKubepodsOptions extends PodLimitOptions {
  readonly driver: CgroupDriver;
  /** Cgroup below which `kubepods` lies, `/` normally. */
  readonly root: string;
  /** What all pods together may use. */
  readonly limits: CgroupLimits;
}

export async function openKubepods(
  options: OpenKubepodsOptions,
  hierarchy: CgroupHierarchy,
  deps: { readonly log: Logger; readonly clock: Clock; readonly run: RunProgram },
  signal: AbortSignal,
): Promise<Kubepods> {
  const { driver, root } = options;
  const kubepods = new Kubepods(options, {
    files: new CgroupFiles(hierarchy, deps),
    names: cgroupNames(driver, root),
    units: driver === 'systemd' ? new SystemdUnits(deps.run, hierarchy.version) : undefined,
  });
  await kubepods.open(options.limits, signal);
  return kubepods;
}
