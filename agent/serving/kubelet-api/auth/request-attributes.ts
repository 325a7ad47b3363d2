/** What a request needs permission for: `verb` on `nodes/subresource` of this node. */
export interface NodeAttributes {
  readonly verb: string;
  readonly nodeName: string;
  readonly subresource: string;
}

const verbs: Readonly<Record<string, string>> = {
  GET: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** Permissions that open one path and nothing else; tried before the older one (facts 9.3). */
const fineGrained: readonly (readonly [string, string])[] = [
  ['/pods', 'pods'],
  ['/healthz', 'healthz'],
  ['/configz', 'configz'],
  ['/runningpods', 'pods'],
];

const coarse: readonly (readonly [string, string])[] = [
  ['/stats', 'stats'],
  ['/metrics', 'metrics'],
  ['/logs', 'log'],
  ['/checkpoint', 'checkpoint'],
  ['/statusz', 'statusz'],
  ['/flagz', 'configz'],
];

/** The permissions that open a path, any of which is enough, in the order in which they are asked for. */
export function requestAttributes(method: string, path: string, nodeName: string): readonly NodeAttributes[] {
  const under = ([root]: readonly [string, string]): boolean => path === root || path.startsWith(`${root}/`);
  const fine = fineGrained.find(under)?.[1];
  const subresources = [...(fine === undefined ? [] : [fine]), coarse.find(under)?.[1] ?? 'proxy'];
  const verb = verbs[method] ?? '';
  return subresources.map((subresource) => ({ verb, nodeName, subresource }));
}
