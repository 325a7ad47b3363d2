import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { AgentConfig } from '../config/agent-config.js';
import { ManifestFolder, ManifestHttp, type PodSource } from '../sources/index.js';

/** The manifest sources a configuration names. Without a cluster, names stay as written and other kinds are taken too. */
export function manifestSources(config: AgentConfig, deps: { log: Logger; clock: Clock }): PodSource[] {
  const { manifestPath, manifestUrl, manifestHeaders, fileCheckMs, httpCheckMs } = config.sources;
  const standalone = { nodeName: config.nodeName, nameSuffix: false, apiReferences: true, otherKinds: true };
  const sources: PodSource[] = [];
  if (manifestPath !== undefined)
    sources.push(new ManifestFolder({ ...standalone, path: manifestPath, recheckMs: fileCheckMs }, deps));
  if (manifestUrl !== undefined) {
    sources.push(
      new ManifestHttp({ ...standalone, url: manifestUrl, headers: manifestHeaders, intervalMs: httpCheckMs }, deps),
    );
  }
  return sources;
}
