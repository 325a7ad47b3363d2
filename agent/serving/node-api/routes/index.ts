import type { Agent } from '../../../agent.js';
import type { Route } from '../route.js';
import { imageRoutes } from './images.js';
import { nodeRoutes } from './node.js';
import { objectRoutes } from './objects.js';
import { observationRoutes } from './observations.js';
import { podRoutes } from './pods.js';
import { streamRoutes } from './streams.js';

/** Every call of the node API; `openapi.yaml` describes them, and a test compares the two. */
export function nodeApiRoutes(agent: Agent): Route[] {
  return [
    ...podRoutes(agent),
    ...streamRoutes(agent),
    ...objectRoutes(agent),
    ...observationRoutes(agent),
    ...imageRoutes(agent),
    ...nodeRoutes(agent),
  ];
}
