import { linkSignal } from '../../base/signals.js';
import { criError } from '../contract/cri-error.js';
import type { StreamingService } from '../contract/streaming-service.js';
import { forwardConnection } from '../streaming/forward-connection.js';
import { findContainer } from './find-container.js';
import { carry, execInContainer, resize } from './exec.js';
import type { DockerContext } from './options.js';
import { findSandbox } from './sandboxes.js';
import { containerEnded, untilContainerEnds } from './until-container-ends.js';

export function dockerStreamingService(context: DockerContext): StreamingService {
  return {
    exec: (request, io, signal) => execInContainer(context, request, io, signal),
    async attach(request, io, signal) {
      const container = await findContainer(context, request.containerId, signal);
      if (!container.State.Running) {
        throw criError('failed-precondition', `attach to ${container.Id}: the container does not run`);
      }
      using connecting = linkSignal(signal);
      const query = {
        stream: true,
        stdin: io.stdin !== undefined,
        stdout: io.stdout !== undefined,
        stderr: io.stderr !== undefined,
      };
      const path = `/containers/${container.Id}/attach`;
      // The body says nothing new: with an empty one the transport would not send the request before the first input.
      const connection = await context.api.hijack(
        { method: 'POST', path, query, body: query, verb: `attach to ${container.Id}` },
        connecting.signal,
      );
      try {
        const sizes = `/containers/${container.Id}/resize`;
        const { Tty } = container.Config;
        const output = untilContainerEnds(connection, containerEnded(context.api, container.Id, connecting.signal));
        await carry(connection, output, io, Tty, (size) => resize(context.api, sizes, size, signal), signal);
        signal.throwIfAborted();
      } finally {
        connection.destroy();
        connecting.abort(new Error('no longer attached'));
      }
    },
    async portForward({ podSandboxId, port }, connection, signal) {
      const { inspected, config } = await findSandbox(context, podSandboxId, signal);
      const { Id: sandboxId, State } = inspected;
      if (!State.Running) throw criError('failed-precondition', `forward port ${port}: the sandbox does not run`);
      const onHost = config.namespaces.network === 'NODE';
      const netnsPath = onHost ? undefined : `/proc/${State.Pid}/ns/net`;
      const target = { sandboxId, port, procNet: `/proc/${State.Pid}/net`, netnsPath };
      await forwardConnection(connection, target, signal);
    },
  };
}
