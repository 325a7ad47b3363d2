/**
 * `busybox` is `docker.io/library/busybox`: the first part names a registry only with a dot, a port or as localhost. Without tag and
 * digest.
 */
export function repositoryOf(image: string): string {
  const name = withoutTag(image);
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  if (slash > 0 && (/[.:]/.test(first) || first === 'localhost')) {
    return first === 'index.docker.io' ? `docker.io${name.slice(slash)}` : name;
  }
  return `docker.io/${slash > 0 ? name : `library/${name}`}`;
}

/** The name as it is written, without tag and digest. */
export function withoutTag(image: string): string {
  const name = image.replace(/@.*$/, '');
  const colon = name.lastIndexOf(':');
  return colon > name.lastIndexOf('/') ? name.slice(0, colon) : name;
}

/** The full name with its tag or digest, so that two ways to write one image compare equal. */
export function fullName(image: string): string {
  const rest = image.slice(withoutTag(image).length);
  return `${repositoryOf(image)}${rest === '' ? ':latest' : rest}`;
}

/** `*.example.com:5000/team`: parts of the host may hold wildcards, the port must be the same, the path is a prefix. */
export function matchesImage(pattern: string, repository: string): boolean {
  const [wanted, given] = [splitHost(pattern), splitHost(repository)];
  if (wanted.port !== given.port || wanted.parts.length !== given.parts.length) return false;
  if (!given.path.startsWith(wanted.path)) return false;
  return wanted.parts.every((part, index) => partPattern(part)?.test(given.parts[index] ?? '') ?? false);
}

function splitHost(text: string): { parts: string[]; port: string; path: string } {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const path = slash < 0 ? '' : text.slice(slash);
  const [, name = host, port = ''] = /^(\[[^\]]*\]|[^:]*):(\d*)$/.exec(host) ?? [];
  return { parts: name.split('.'), port, path };
}

/** The shell patterns of one part of a host: `*`, `?`, `[a-z]`; undefined for one that is none. */
function partPattern(part: string): RegExp | undefined {
  const source = part.replaceAll(/\[\^?[^\]]+\]|[\s\S]/g, (piece) => {
    if (piece === '*') return '.*';
    if (piece === '?') return '.';
    if (piece.length > 1) return piece.replaceAll('\\', '\\\\');
    return piece.replace(/[\\^$.*+?()[\]{}|/]/, String.raw`\$&`);
  });
  try {
    return new RegExp(`^${source}$`);
  } catch {
    return undefined;
  }
}
