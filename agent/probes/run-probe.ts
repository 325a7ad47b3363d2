import { connect, type Socket } from 'node:net';
import { isCriCode, type RuntimeService } from '../../cri/index.js';
import { errorText } from '../../base/errors.js';
import { linkSignal } from '../../base/signals.js';
import type { Container, HTTPGetAction, Probe, TCPSocketAction } from '../api/index.js';
import { staticEnvironment } from '../containers/environment.js';
import { expand } from '../containers/expand.js';
import { StepError } from '../executors/step-error.js';
import type { HttpGet } from './http-get.js';
import { addressText, dialText, requestText, type Address } from './probe-words.js';
import { resolvePort } from './resolve-port.js';

export type ProbeOutcome =
  | { readonly result: 'success' }
  /** Counts as success, with an event. */
  | { readonly result: 'warning'; readonly message: string }
  | { readonly result: 'failure'; readonly message: string };

export interface ProbeRequest {
  readonly probe: Probe;
  readonly container: Container;
  readonly containerId: string;
  readonly podIp: string;
}

export interface RunProbeDeps {
  readonly runtime: RuntimeService;
  readonly httpGet: HttpGet;
  /** Asks `grpc.health.v1.Health/Check`; resolves with the serving status. Loaded with its first use. */
  grpcHealth(host: string, port: number, service: string, signal: AbortSignal): Promise<string>;
  readonly kubeVersion: string;
}

const longestOutput = 10 * 1024;

/** One try of one probe (facts 3). Rejects only for a fault of our own, which does not count as a failure of the container. */
export async function runProbe(request: ProbeRequest, deps: RunProbeDeps, signal: AbortSignal): Promise<ProbeOutcome> {
  const { probe } = request;
  const timeoutMs = Math.max(probe.timeoutSeconds ?? 1, 1) * 1000;
  using limited = linkSignal(signal, { timeoutMs, what: 'the probe' });
  try {
    if (probe.exec) return await execProbe(request, deps, timeoutMs, signal);
    if (probe.httpGet) return await httpProbe(request, deps, limited.signal);
    if (probe.tcpSocket) return await tcpProbe(request, limited.signal);
    if (probe.grpc) return await grpcProbe(request, deps, limited.signal);
    return { result: 'failure', message: 'the probe has no handler' };
  } catch (err) {
    signal.throwIfAborted();
    if (limited.signal.aborted) return { result: 'failure', message: timeoutText(request, timeoutMs) };
    throw err;
  }
}

/** As a kubelet says it of each kind. */
function timeoutText(request: ProbeRequest, timeoutMs: number): string {
  const { httpGet, tcpSocket } = request.probe;
  if (httpGet)
    return `Get "${httpUrl(request)}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`;
  if (tcpSocket) return `dial tcp ${addressText(addressOf(request, tcpSocket))}: i/o timeout`;
  return `timeout: health rpc did not complete within ${timeoutMs / 1000}s`;
}

function addressOf({ container, podIp }: ProbeRequest, action: HTTPGetAction | TCPSocketAction): Address {
  return { host: action.host || podIp, port: resolvePort(container, action.port) };
}

function httpUrl(request: ProbeRequest): string {
  const { httpGet: action } = request.probe;
  if (!action) return '';
  return `${(action.scheme ?? 'HTTP').toLowerCase()}://${addressText(addressOf(request, action))}${action.path ?? '/'}`;
}

async function execProbe(
  request: ProbeRequest,
  deps: RunProbeDeps,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const { container, containerId, probe } = request;
  const env = staticEnvironment(container);
  const cmd = (probe.exec?.command ?? []).map((word) => expand(word, (name) => env.get(name)));
  try {
    const result = await deps.runtime.execSync({ containerId, cmd, timeout: timeoutMs / 1000 }, signal);
    if ((result.exitCode ?? 0) === 0) return { result: 'success' };
    const output = Buffer.concat([result.stdout ?? new Uint8Array(), result.stderr ?? new Uint8Array()]).toString(
      'utf8',
    );
    return {
      result: 'failure',
      message: output.slice(0, longestOutput).trim() || `command exited with ${result.exitCode}`,
    };
  } catch (err) {
    if (isCriCode(err, 'deadline-exceeded'))
      return {
        result: 'failure',
        message: `command timed out: "${cmd.join(' ')}" timed out after ${timeoutMs / 1000}s`,
      };
    throw err;
  }
}

async function httpProbe(request: ProbeRequest, deps: RunProbeDeps, signal: AbortSignal): Promise<ProbeOutcome> {
  const action = request.probe.httpGet;
  if (!action) return { result: 'failure', message: 'no handler' };
  const address = addressOf(request, action);
  try {
    const answer = await deps.httpGet(
      {
        scheme: action.scheme ?? 'HTTP',
        ...address,
        path: action.path ?? '/',
        headers: action.httpHeaders ?? [],
        userAgent: `kube-probe/${deps.kubeVersion}`,
      },
      signal,
    );
    if (answer.redirectedTo !== undefined) {
      return { result: 'warning', message: `Probe terminated redirects, Response body: ${answer.body}` };
    }
    if (answer.statusCode >= 200 && answer.statusCode < 400) return { result: 'success' };
    return { result: 'failure', message: `HTTP probe failed with statuscode: ${answer.statusCode}` };
  } catch (err) {
    signal.throwIfAborted();
    if (err instanceof StepError) throw err;
    return { result: 'failure', message: `Get "${httpUrl(request)}": ${requestText(err, address)}` };
  }
}

/** How long a server may take to close a connection that said nothing. */
const closingMs = 1000;

function tcpProbe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeOutcome> {
  const address = addressOf(request, request.probe.tcpSocket ?? { port: 0 });
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address });
    const finish = (outcome: ProbeOutcome): void => {
      signal.removeEventListener('abort', onAbort);
      resolve(outcome);
    };
    const onAbort = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => {
      finish({ result: 'success' });
      closeQuietly(socket);
    });
    socket.on('error', (err) => finish({ result: 'failure', message: dialText(err, address) }));
  });
}

/** Ended and not reset, what the server greets with taken: a reset is an error that servers log, and that ends some of them. */
function closeQuietly(socket: Socket): void {
  socket.resume();
  socket.end();
  const timer = setTimeout(() => socket.destroy(), closingMs).unref();
  socket.once('close', () => clearTimeout(timer));
}

async function grpcProbe(
  { probe, podIp }: ProbeRequest,
  deps: RunProbeDeps,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const { port = 0, service = '' } = probe.grpc ?? {};
  try {
    const status = await deps.grpcHealth(podIp, port, service, signal);
    if (status === 'SERVING') return { result: 'success' };
    return { result: 'failure', message: `service unhealthy (responded with "${status}")` };
  } catch (err) {
    signal.throwIfAborted();
    return { result: 'failure', message: `failed to connect service "${podIp}:${port}": ${errorText(err)}` };
  }
}
