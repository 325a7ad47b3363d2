import type { FieldProblems } from './field-problems.js';
import type { HTTPGetAction, IntOrString, Lifecycle, LifecycleHandler, Probe } from '../generated/types.js';
import { httpHeaderName, portName, portNumber } from './name-rules.js';

export type ProbeKind = 'livenessProbe' | 'readinessProbe' | 'startupProbe';

export function validateProbe(problems: FieldProblems, kind: ProbeKind, probe: Probe, path: string): void {
  validateHandler(problems, { ...probe }, undefined, path);
  for (const field of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const) {
    problems.nonNegative(`${path}.${field}`, probe[field]);
  }
  const { successThreshold = 1, terminationGracePeriodSeconds } = probe;
  if (kind !== 'readinessProbe' && successThreshold > 1)
    problems.invalid(`${path}.successThreshold`, successThreshold, 'must be 1');
  if (terminationGracePeriodSeconds === undefined) return;
  const at = `${path}.terminationGracePeriodSeconds`;
  if (kind === 'readinessProbe')
    problems.invalid(at, terminationGracePeriodSeconds, 'must not be set for readinessProbes');
  else if (terminationGracePeriodSeconds <= 0)
    problems.invalid(at, terminationGracePeriodSeconds, 'must be greater than 0');
}

export function validateLifecycle(
  problems: FieldProblems,
  lifecycle: Lifecycle,
  pod: { gracePeriod: number | undefined; osName: string | undefined },
  path: string,
): void {
  for (const hook of ['postStart', 'preStop'] as const) {
    const handler = lifecycle[hook];
    if (handler !== undefined) validateHandler(problems, handler, pod.gracePeriod, `${path}.${hook}`);
  }
  const { stopSignal } = lifecycle;
  if (stopSignal === undefined) return;
  if (pod.osName === undefined) {
    problems.forbidden(`${path}.stopSignal`, 'may not be set for containers with empty `spec.os.name`');
  } else if (!/^SIG(?:[A-Z]+[12]?|RTMIN(?:\+\d+)?|RTMAX(?:-\d+)?)$/.test(stopSignal)) {
    problems.invalid(`${path}.stopSignal`, stopSignal, 'must be the name of a signal, such as SIGTERM');
  }
}

type Handler = Pick<Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'> & Pick<LifecycleHandler, 'sleep'>;

function validateHandler(
  problems: FieldProblems,
  handler: Handler,
  gracePeriod: number | undefined,
  path: string,
): void {
  const kinds = (['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const).filter(
    (kind) => handler[kind] !== undefined,
  );
  if (kinds.length === 0) return problems.required(path, 'must specify a handler type');
  for (const kind of kinds.slice(1)) problems.forbidden(`${path}.${kind}`, 'may not specify more than 1 handler type');
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  if (exec !== undefined && (exec.command ?? []).length === 0) problems.required(`${path}.exec.command`);
  if (httpGet !== undefined) validateHttpGet(problems, httpGet, `${path}.httpGet`);
  if (tcpSocket !== undefined) validatePort(problems, tcpSocket.port, `${path}.tcpSocket.port`);
  if (grpc !== undefined) validatePort(problems, grpc.port, `${path}.grpc.port`);
  if (sleep !== undefined && gracePeriod !== undefined && (sleep.seconds < 0 || sleep.seconds > gracePeriod)) {
    const rule = `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriod})`;
    problems.invalid(`${path}.sleep`, sleep.seconds, rule);
  }
}

function validateHttpGet(problems: FieldProblems, action: HTTPGetAction, path: string): void {
  validatePort(problems, action.port, `${path}.port`);
  for (const [index, { name }] of (action.httpHeaders ?? []).entries()) {
    problems.rules(`${path}.httpHeaders[${index}].name`, name, httpHeaderName(name));
  }
}

function validatePort(problems: FieldProblems, port: IntOrString, path: string): void {
  const broken = typeof port === 'number' ? portNumber(port) : portName(port);
  for (const rule of broken) problems.invalid(path, port, rule);
}
