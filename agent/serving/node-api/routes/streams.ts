import type { Agent, AgentPod } from '../../../agent.js';
import { findContainer, type Pod } from '../../../api/index.js';
import type { TerminalSize } from '../../../../cri/index.js';
import type { ObservedContainer } from '../../../podloop/pod-facts.js';
import { frameDuplex, frameTypes, readableFrames, type FrameConnection } from '../../framed-stream/index.js';
import { ApiError } from '../api-error.js';
import { requireContainer, requirePod } from '../pod-view.js';
import { flag, wholeNumber, type ApiRequest, type StreamRoute } from '../route.js';
import { defaultContainer } from './pods.js';
import { TerminalSizes } from '../terminal-sizes.js';

export function streamRoutes(agent: Agent): StreamRoute[] {
  const { streaming } = agent.runtime;
  return [
    {
      method: 'POST',
      path: '/v1/pods/{namespace}/{name}/exec',
      prepare: ({ params, query }) => {
        const containerId = runningContainer(requirePod(agent, params), query);
        const cmd = query.getAll('command');
        if (cmd.length === 0) throw new ApiError('BadRequest', 'exec: the command is missing');
        const tty = flag(query, 'tty');
        const stdin = flag(query, 'stdin');
        return async (connection, head, signal) => {
          const io = containerIo(connection, head, query, tty);
          const request = { containerId, cmd, tty, stdin, stdout: true, stderr: !tty };
          return await streaming.exec(request, stdin ? io : { ...io, stdin: undefined }, signal);
        };
      },
    },
    {
      method: 'POST',
      path: '/v1/pods/{namespace}/{name}/attach',
      prepare: ({ params, query }) => {
        const found = requirePod(agent, params);
        const containerId = runningContainer(found, query);
        const spec = findContainer(found.pod, query.get('container') ?? defaultContainer(found.pod))?.container;
        // The container has a terminal or it has not; the caller cannot choose.
        const tty = spec?.tty === true;
        const stdin = flag(query, 'stdin') && spec?.stdin === true;
        return async (connection, head, signal) => {
          const io = containerIo(connection, head, query, tty);
          const request = { containerId, tty, stdin, stdout: true, stderr: !tty };
          await streaming.attach(request, stdin ? io : { ...io, stdin: undefined }, signal);
          return {};
        };
      },
    },
    {
      method: 'POST',
      path: '/v1/pods/{namespace}/{name}/portforward',
      prepare: (request) => {
        const { podSandboxId, port } = forwardTarget(agent, request);
        return async (connection, head, signal) => {
          await streaming.portForward({ podSandboxId, port }, frameDuplex(connection, head), signal);
          return {};
        };
      },
    },
  ];
}

function runningContainer({ pod, observed }: AgentPod & { pod: Pod }, query: URLSearchParams): string {
  const name = query.get('container') ?? defaultContainer(pod);
  const podName = pod.metadata?.name ?? '';
  requireContainer(pod, name);
  const instances: readonly ObservedContainer[] = observed?.containers.filter((each) => each.name === name) ?? [];
  const running = instances.find(({ state }) => state === 'running');
  if (!running)
    throw new ApiError('Conflict', `container "${name}" in pod "${podName}" does not run; see: berth why ${podName}`);
  return running.id;
}

function forwardTarget(agent: Agent, { params, query }: ApiRequest): { podSandboxId: string; port: number } {
  const { pod, observed } = requirePod(agent, params);
  const port = wholeNumber(query, 'port', 1);
  if (port === undefined || port > 65_535)
    throw new ApiError('BadRequest', 'port-forward: a port from 1 to 65535 is needed');
  const sandbox = observed?.sandboxes.find(({ ready }) => ready);
  const name = pod.metadata?.name ?? '';
  if (!sandbox) throw new ApiError('Conflict', `pod "${name}" has no network yet; see: berth why ${name}`);
  return { podSandboxId: sandbox.id, port };
}

function containerIo(connection: FrameConnection, head: Buffer, query: URLSearchParams, tty: boolean) {
  const stdin = readableFrames(connection);
  const sizes = new TerminalSizes(firstSize(query));
  void connection.closed.then(() => sizes.end());
  connection.listen(({ type, payload }) => {
    if (type === frameTypes.stdin) return stdin.give(payload);
    if (type === frameTypes.eof) stdin.stream.push(null);
    if (type === frameTypes.resize) sizes.give(payload);
    return true;
  }, head);
  return {
    stdin: stdin.stream,
    stdout: connection.writable(frameTypes.stdout),
    stderr: tty ? undefined : connection.writable(frameTypes.stderr),
    resize: tty ? sizes : undefined,
  };
}

function firstSize(query: URLSearchParams): TerminalSize | undefined {
  const columns = wholeNumber(query, 'columns', 1);
  const rows = wholeNumber(query, 'rows', 1);
  return columns === undefined || rows === undefined ? undefined : { columns, rows };
}
