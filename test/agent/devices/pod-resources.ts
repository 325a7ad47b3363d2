import { podResourcesSocket } from '../../../deviceplugin/index.js';
import { UnixClient } from '../../../proto/wire/index.js';
import type { PodResourcesListerMethods } from '../../../proto/generated/podresources-v1.js';
import type { AgentWorld } from '../agent-world.js';

/** The pod resources API of an agent under test. */
export function podResources(world: AgentWorld): UnixClient<PodResourcesListerMethods> {
  const socketPath = podResourcesSocket(world.config.paths.rootDir);
  return new UnixClient({ socketPath, proto: 'podresources-v1', service: 'v1.PodResourcesLister' });
}
