import { criError } from '../contract/cri-error.js';
import type { DockerApi } from './docker-api.js';
import type { DockerInfo } from './docker-types.js';

/** A RuntimeClass handler is an OCI runtime that Docker was configured with; the empty one is Docker's own choice. */
export async function checkHandler(
  api: DockerApi,
  handler: string | undefined,
  what: string,
  signal: AbortSignal,
): Promise<void> {
  if (!handler) return;
  const { Runtimes = {} } = await api.call<DockerInfo>(
    { method: 'GET', path: '/info', verb: 'ask Docker for its runtimes' },
    signal,
  );
  if (!(handler in Runtimes)) throw criError('invalid-argument', `${what}: Docker has no runtime "${handler}"`);
}
