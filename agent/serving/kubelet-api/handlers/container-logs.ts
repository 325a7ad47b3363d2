import type { ServerResponse } from 'node:http';
import { basename } from 'node:path';
import type { Clock } from '../../../../base/clock.js';
import { errnoOf } from '../../../../base/errors.js';
import { findContainer } from '../../../api/index.js';
import { LogFiles, podLogFolder, readContainerLog } from '../../../logs/index.js';
import { HttpError } from '../http-error.js';
import type { CallHandler } from './call.js';
import { podNamed, type Host } from './find-pod.js';
import { logInstance } from './log-instance.js';
import { parseLogOptions } from './log-options.js';

/** `/containerLogs`: what one instance of a container wrote, as it is written where that is asked for. */
export function containerLogs(host: Host, clock: Clock): CallHandler {
  return async ({ params, query }, response, signal) => {
    const { namespace = '', pod: name = '', container = '' } = params;
    const options = parseLogOptions(query, clock.now());
    const found = podNamed(host, namespace, name);
    if (!found) throw new HttpError(404, `pod "${name}" does not exist`);
    if (!findContainer(found.pod, container))
      throw new HttpError(404, `container "${container}" not found in pod "${name}"`);
    const { containerId, status } = logInstance(name, container, found.status, options.previous);
    const instance = (uid = found.uid) =>
      host.pod(uid)?.observed?.containers.find((each) => each.containerId === containerId);
    const restarts = status.restartCount ?? 0;
    const attempt =
      instance()?.restartCount ?? (status.containerID === containerId ? restarts : Math.max(restarts - 1, 0));
    const { podLogsDir } = host.config.paths;
    const ended = (): boolean => {
      const now = instance();
      return now === undefined || now.state === 'exited';
    };
    const place = { podLogsDir, podFolder: basename(podLogFolder(podLogsDir, found.pod)), container, attempt };
    if (instance() === undefined && (await LogFiles.areGone(place)))
      throw new HttpError(400, `unable to retrieve container logs for ${containerId}`);
    begin(response);
    try {
      await readContainerLog(place, { ...options, follow: options.follow ? { ended } : undefined }, response, signal);
    } catch (err) {
      // A container that never wrote has no file.
      if (errnoOf(err) !== 'ENOENT') throw err;
    }
    response.end();
  };
}

/** The head goes at once: who follows a silent container must know that it is being followed. */
function begin(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' });
  response.flushHeaders();
}
