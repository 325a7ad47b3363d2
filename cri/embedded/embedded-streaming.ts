import type * as v1 from '../../proto/generated/cri-v1.js';
import type { ContainerIo, PortForwardTarget, StreamingService } from '../contract/streaming-service.js';
import type { Duplex } from 'node:stream';
import type { RuntimeContext } from './context.js';
import { attachContainer } from './streaming/attach.js';
import { execProcess } from './streaming/exec-process.js';
import { execTerminal } from './streaming/exec-terminal.js';
import { forwardPort } from './streaming/port-forward.js';
import { runExec } from './streaming/run-exec.js';

export class EmbeddedStreaming implements StreamingService {
  readonly #context: RuntimeContext;

  constructor(context: RuntimeContext) {
    this.#context = context;
  }

  async exec(request: v1.ExecRequest, io: ContainerIo, signal: AbortSignal): Promise<{ exitCode: number }> {
    const entry = this.#context.container(request.containerId);
    const command = request.cmd ?? [];
    if (request.tty === true) {
      return { exitCode: await execTerminal(this.#context, entry, command, io, signal) };
    }
    const process = await execProcess(this.#context, entry, command, undefined);
    return { exitCode: await runExec(this.#context, entry, process, io, signal) };
  }

  async attach(request: v1.AttachRequest, io: ContainerIo, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await attachContainer(this.#context, this.#context.container(request.containerId), io, signal);
  }

  async portForward(target: PortForwardTarget, connection: Duplex, signal: AbortSignal): Promise<void> {
    await forwardPort(this.#context, this.#context.sandbox(target.podSandboxId), target.port, connection, signal);
  }
}
