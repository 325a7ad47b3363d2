import { errorText } from '../../../../base/errors.js';
import { findContainer, podFullName } from '../../../api/index.js';
import { HttpError } from '../http-error.js';
import { sendJson, type CallHandler } from './call.js';
import { requirePod, runningContainer, type Host } from './find-pod.js';
import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';

/** `/checkpoint`: an archive of a running container, where the runtime can make one. */
export function checkpoint(host: Host): CallHandler {
  return async ({ params, query }, response, signal) => {
    const found = requirePod(host, params);
    const { namespace = '', pod: name = '', container = '' } = params;
    if (!findContainer(found.pod, container)) throw new HttpError(404, `container ${container} does not exist`);
    const text = query.getAll('timeout').at(-1);
    if (text !== undefined && !/^\d+$/.test(text)) throw new HttpError(404, 'cannot parse value of timeout parameter');
    const { id: containerId } = runningContainer(found, container);
    const folder = join(host.config.paths.rootDir, 'checkpoints');
    const stamp = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const location = join(folder, `checkpoint-${podFullName(found.pod)}-${container}-${stamp}.tar`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    try {
      await host.runtime.runtime.checkpointContainer({ containerId, location, timeout: Number(text ?? 0) }, signal);
    } catch (err) {
      // The kubelet knows no other status, whatever the runtime says; the message has its words.
      throw new HttpError(500, `checkpointing of ${namespace}/${name}/${container} failed (${errorText(err)})`);
    }
    sendJson(response, { items: [location] });
  };
}
