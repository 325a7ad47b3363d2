import { join } from 'node:path';
import { openCni, type Cni } from '../../cni/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { OpenRuntimeDeps } from './opened-runtime.js';

/** CNI as the configuration places it, for the runtimes that have no network of their own. */
export function openConfiguredCni(
  { paths, limits }: AgentConfig,
  deps: OpenRuntimeDeps,
  signal: AbortSignal,
): Promise<Cni> {
  const { run, recorder, log, clock } = deps;
  const timeouts = limits.cniMs === undefined ? {} : { addMs: limits.cniMs, delMs: limits.cniMs };
  return openCni(
    { confDir: paths.cniConfDir, binDirs: paths.cniBinDirs, cacheDir: join(paths.stateDir, 'cni'), timeouts },
    { run, recorder, log, clock },
    signal,
  );
}
