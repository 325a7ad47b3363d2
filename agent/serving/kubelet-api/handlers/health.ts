import { HttpError } from '../http-error.js';
import { sendText, type CallHandler } from './call.js';

export interface HealthCheck {
  readonly name: string;
  /** Why it is not well; undefined when it is. */
  problem(): string | undefined;
}

/** `/healthz` and one path per check; `?verbose` tells of each. */
export function healthz(checks: readonly HealthCheck[]): CallHandler {
  return ({ params, query }, response) => {
    const { check: wanted } = params;
    const asked = wanted === undefined ? checks : checks.filter(({ name }) => name === wanted);
    if (asked.length === 0) throw new HttpError(404, '404: Page Not Found');
    const left = new Set(query.getAll('exclude'));
    const results = asked
      .filter(({ name }) => !left.has(name))
      .map((each) => ({ name: each.name, problem: each.problem() }));
    const failed = results.some(({ problem }) => problem !== undefined);
    // The reason is for those who may read the log of the node.
    const lines = results.map(({ name, problem }) =>
      problem === undefined ? `[+]${name} ok\n` : `[-]${name} failed: reason withheld\n`,
    );
    if (failed) throw new HttpError(500, `${lines.join('')}healthz check failed\n`);
    sendText(response, query.has('verbose') ? `${lines.join('')}healthz check passed\n` : 'ok');
  };
}
