/** The path and query of a request line. */
export interface RequestTarget {
  /** Decoded; what is authorized and what is routed are the same. */
  readonly path: string;
  /** Parts of the path, decoded; `/logs/` has one empty part at its end. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  /** Why no route may be looked for. Such a request is authorized as the most powerful one there is. */
  readonly problem?: string | undefined;
}

const invalid = (problem: string): RequestTarget => ({
  path: '/',
  segments: [],
  query: new URLSearchParams(),
  problem,
});

/**
 * Reads a request line's target without normalising it: a path that climbs, or that hides a slash in a part, is refused and not
 * repaired. What one check reads as one path another could read as a different one.
 */
export function parseTarget(raw: string): RequestTarget {
  const [path = '', ...rest] = raw.split('?');
  if (!path.startsWith('/')) return invalid('the request target must be a path');
  const parts = path.slice(1).split('/');
  const segments: string[] = [];
  for (const [index, part] of parts.entries()) {
    const segment = decoded(part);
    if (segment === undefined) return invalid('the path is not encoded as a path must be');
    if (segment === '' && index < parts.length - 1) return invalid('the path has an empty part');
    if (segment === '.' || segment === '..') return invalid('the path must not have the parts . and ..');
    // oxlint-disable-next-line no-control-regex
    if (/[/\\\u0000-\u001f]/.test(segment)) return invalid('a part of the path must not hold a separator');
    segments.push(segment);
  }
  return { path: `/${segments.join('/')}`, segments, query: new URLSearchParams(rest.join('?')) };
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
