import type { Container, EphemeralContainer, IntOrString } from '../api/index.js';
import { StepError } from '../executors/step-error.js';

/** Number of a port given by number or by the name of one of the container's ports. */
export function resolvePort(container: Container | EphemeralContainer, port: IntOrString): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find((candidate) => candidate.name === port);
  if (named) return named.containerPort;
  const value = /^\d+$/.test(port) ? Number(port) : 0;
  if (value > 0 && value <= 65_535) return value;
  throw new StepError('InvalidPort', `resolve port "${port}": container ${container.name} has no port of that name`);
}
