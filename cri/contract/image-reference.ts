/** A parsed image reference in its full form: `busybox` is `docker.io/library/busybox:latest`. */
export interface ImageReference {
  /** Registry host with its port: `docker.io`, `localhost:5000`. */
  readonly domain: string;
  /** `domain/path`, without tag or digest. */
  readonly name: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const separator = '(?:[._]|__|[-]+)';
const pathPart = new RegExp(`^[a-z0-9]+(?:${separator}[a-z0-9]+)*$`);
const domainPattern =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})$/;

/** The grammar of the distribution project, with Docker's short names; undefined when the text does not follow it. */
export function tryParseReference(text: string): ImageReference | undefined {
  // 64 hexadecimal digits are an image id, never a name.
  if (/^[0-9a-f]{64}$/.test(text) || text.length > 1024) return undefined;
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !digestPattern.test(digest)) return undefined;
  const beforeDigest = at < 0 ? text : text.slice(0, at);
  const colon = beforeDigest.lastIndexOf(':');
  const hasTag = colon > beforeDigest.lastIndexOf('/');
  const tag = hasTag ? beforeDigest.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagPattern.test(tag)) return undefined;
  const full = splitDomain(hasTag ? beforeDigest.slice(0, colon) : beforeDigest);
  if (full === undefined) return undefined;
  const name = `${full.domain}/${full.path}`;
  if (name.length > 255) return undefined;
  return { domain: full.domain, name, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest };
}

function splitDomain(name: string): { domain: string; path: string } | undefined {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isDomain = first !== '' && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  let domain = isDomain ? first : 'docker.io';
  let path = isDomain ? name.slice(slash + 1) : name;
  if (domain === 'index.docker.io') domain = 'docker.io';
  if (!domainPattern.test(domain)) return undefined;
  if (domain === 'docker.io' && !path.includes('/')) path = `library/${path}`;
  return path.split('/').every((part) => pathPart.test(part)) ? { domain, path } : undefined;
}

/** `name@digest` when a digest is there (a tag beside it says nothing more), else `name:tag`. */
export function referenceText(reference: ImageReference): string {
  return reference.digest === undefined
    ? `${reference.name}:${reference.tag ?? 'latest'}`
    : `${reference.name}@${reference.digest}`;
}

export function isDigest(text: string): boolean {
  return digestPattern.test(text);
}
