import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { AgentConfig } from '../config/agent-config.js';
import { ManifestFolder, ManifestHttp, type PodSource } from '../sources/index.js';

/** The manifest sources a configuration names. Without a cluster, names stay as written and other kinds are taken too;
 * in one, pods may only name what is on the machine. */
export function manifestSources(config: AgentConfig, deps: { log: Logger; clock: Clock }): PodSource[] {
  const { manifestPath, manifestUrl, manifestHeaders, fileCheckMs, httpCheckMs } = config.sources;
  const alone = config.cluster === undefined;
  const options = { nodeName: config.nodeName, nameSuffix: !alone, apiReferences: alone, otherKinds: alone };
  const sources: PodSource[] = [];
  if (manifestPath !== undefined)
    sources.push(new ManifestFolder({ ...options, path: manifestPath, recheckMs: fileCheckMs }, deps));
  if (manifestUrl !== undefined) {
    sources.push(
      new ManifestHttp({ ...options, url: manifestUrl, headers: manifestHeaders, intervalMs: httpCheckMs }, deps),
    );
  }
  return sources;
}
