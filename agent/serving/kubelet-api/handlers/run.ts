import { HttpError } from '../http-error.js';
import { sendText, type CallHandler } from './call.js';
import { requirePod, runningContainer, type Host } from './find-pod.js';

/** The runtime gives a command up after this; the kubelet's runtimeRequestTimeout. */
const timeoutSeconds = 120;

/** `/run`: a command without streams; what it printed is the answer. */
export function run(host: Host): CallHandler {
  return async ({ params, query }, response, signal) => {
    const { id: containerId } = runningContainer(requirePod(host, params), params['container'] ?? '');
    const cmd = (query.get('cmd') ?? '').split(' ');
    const { runtime } = host.runtime;
    const { stdout, stderr, exitCode } = await runtime.execSync({ containerId, cmd, timeout: timeoutSeconds }, signal);
    const errors = Buffer.from(stderr ?? []);
    if (exitCode !== undefined && exitCode !== 0)
      throw new HttpError(500, `command '${cmd.join(' ')}' exited with ${exitCode}: ${errors.toString('utf8')}`);
    sendText(response, Buffer.concat([stdout ?? new Uint8Array(), errors]), 'application/json');
  };
}
