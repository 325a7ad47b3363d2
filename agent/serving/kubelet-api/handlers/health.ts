import { HttpError } from '../http-error.js';
import { sendText, type CallHandler } from './call.js';

export interface HealthCheck {
  readonly name: string;
  /** Why it is not well; undefined when it is. */
  problem(): string | undefined;
}

/** `/healthz` and one path per check; `?verbose` tells of each, `?exclude` leaves one out. */
export function healthz(checks: readonly HealthCheck[]): CallHandler {
  return ({ params, query }, response) => {
    const { check: name } = params;
    if (name === undefined) return sendText(response, ofAll(checks, query));
    const wanted = checks.find((each) => each.name === name);
    if (!wanted) throw new HttpError(404, '404: Page Not Found');
    const problem = wanted.problem();
    if (problem !== undefined) throw new HttpError(500, `internal server error: ${problem}\n`);
    sendText(response, 'ok');
  };
}

/** The kubelet's words (apiserver's healthz package); throws where something is not well. */
function ofAll(checks: readonly HealthCheck[], query: URLSearchParams): string {
  const left = new Set(query.getAll('exclude'));
  let failed = false;
  let lines = '';
  for (const check of checks) {
    if (left.delete(check.name)) {
      lines += `[+]${check.name} excluded: ok\n`;
    } else if (check.problem() === undefined) {
      lines += `[+]${check.name} ok\n`;
    } else {
      // The reason is for those who ask for the check itself.
      lines += `[-]${check.name} failed: reason withheld\n`;
      failed = true;
    }
  }
  if (left.size > 0) {
    const names = [...left].toSorted().map((each) => `"${each}"`);
    lines += `warn: some health checks cannot be excluded: no matches for ${names.join(',')}\n`;
  }
  if (failed) throw new HttpError(500, `${lines}healthz check failed\n`);
  return query.has('verbose') ? `${lines}healthz check passed\n` : 'ok';
}
