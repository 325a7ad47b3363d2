import { ApiError } from './api-error.js';
import type { Route } from './route.js';

interface Compiled {
  readonly route: Route;
  readonly segments: readonly string[];
}

export interface Found {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** Finds the route of a method and path; plain segments go before placeholders. */
export class Router {
  readonly #routes: readonly Compiled[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes
      .map((route) => ({ route, segments: route.path.split('/') }))
      .toSorted((a, b) => placeholders(a) - placeholders(b));
  }

  /** Throws an `ApiError` for what is not there. */
  find(method: string, path: string): Found {
    const segments = path.split('/').map(decode);
    const matching = this.#routes.filter((compiled) => matches(compiled.segments, segments));
    const [first] = matching;
    if (!first) throw new ApiError('NotFound', `find ${path}: the node API has no such path`);
    const hit = matching.find(({ route }) => route.method === method);
    if (!hit) {
      const known = [...new Set(matching.map(({ route }) => route.method))].join(', ');
      throw new ApiError('MethodNotAllowed', `${method} ${path}: only ${known} is possible here`);
    }
    const params: Record<string, string> = {};
    for (const [index, segment] of hit.segments.entries()) {
      const name = placeholder(segment);
      if (name !== undefined) params[name] = segments[index] ?? '';
    }
    return { route: hit.route, params };
  }
}

const placeholder = (segment: string): string | undefined => /^\{(\w+)\}$/.exec(segment)?.[1];

const placeholders = ({ segments }: Compiled): number =>
  segments.filter((segment) => placeholder(segment) !== undefined).length;

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return (
    pattern.length === segments.length &&
    pattern.every((segment, index) =>
      placeholder(segment) === undefined ? segment === segments[index] : (segments[index] ?? '') !== '',
    )
  );
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ApiError('BadRequest', `read the path: ${JSON.stringify(segment)} is not encoded as a path must be`);
  }
}
