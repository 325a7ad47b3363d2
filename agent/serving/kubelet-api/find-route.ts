import { HttpError } from './http-error.js';
import type { RequestTarget } from './request-target.js';
import { routeTable, type RouteName, type RouteSpec } from './route-table.js';

export interface FoundRoute {
  readonly name: RouteName;
  /** Values of the placeholders, decoded. */
  readonly params: Readonly<Record<string, string>>;
}

/** Finds the route of a method and path, or throws what the kubelet answers instead. */
export function findRoute(method: string, target: RequestTarget, debuggingHandlers: boolean): FoundRoute {
  if (target.problem !== undefined) throw new HttpError(400, target.problem);
  const last = target.segments.at(-1) === '' ? target.segments.slice(0, -1) : target.segments;
  const methods = new Set<string>();
  const routes: readonly RouteSpec<RouteName>[] = routeTable;
  for (const route of routes) {
    const params = match(route.path.slice(1).split('/'), last);
    if (!params) continue;
    if (!debuggingHandlers && route.debugging === 'answers-disabled')
      throw new HttpError(405, 'Debug endpoints are disabled.');
    if (!debuggingHandlers && route.debugging === 'absent') continue;
    if (!route.methods || route.methods.includes(method)) return { name: route.name, params };
    for (const each of route.methods) methods.add(each);
  }
  if (methods.size > 0) throw new HttpError(405, '405: Method Not Allowed', { allow: [...methods].join(', ') });
  throw new HttpError(404, '404: Page Not Found');
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const name = /^\{(\w+)(\.\.\.)?\}$/.exec(part);
    const segment = segments[index];
    if (name?.[2] !== undefined) {
      if (segment === undefined) return undefined;
      params[name[1] ?? ''] = segments.slice(index).join('/');
      return params;
    }
    if (segment === undefined || (name === null && segment !== part)) return undefined;
    if (name?.[1] !== undefined) params[name[1]] = segment;
  }
  return segments.length === pattern.length ? params : undefined;
}
