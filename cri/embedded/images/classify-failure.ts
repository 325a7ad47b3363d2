import { describeEnd, type ProgramResult } from '../../../base/run-program.js';
import { imageError, type ImageError, type ImageFailureReason } from './image-error.js';

/**
 * What skopeo and tar say, in the order of what is most telling: a full disk also breaks the copy that is reported last. The exact
 * words come from containers/image, the distribution registry and Go's net package.
 */
const words: ReadonlyArray<readonly [RegExp, ImageFailureReason]> = [
  [/no space left on device|disk quota exceeded/i, 'disk-full'],
  [/no image found in (manifest list|image index)/i, 'no-matching-platform'],
  [/source image rejected|signature (?:was required|verification|mismatch)|no signature exists/i, 'signature-rejected'],
  [
    /manifest unknown|name unknown|repository name not known|repository .* not found|(?:status|registry)(?: ?code)?:? 404|404 \(not found/i,
    'not-found',
  ],
  [
    /unauthorized|authentication required|requested access to the resource is denied|invalid username\/password|(?:status|registry):? 40[13]|40[13] \((?:forbidden|unauthorized)|insufficient_scope/i,
    'unauthorized',
  ],
  [
    /x509:|server gave http response to https client|tls: |first record does not look like a tls handshake/i,
    'registry-untrusted',
  ],
  [
    /connection refused|no such host|name resolution|dial tcp|no route to host|network is unreachable|host is down|connection reset|broken pipe|server misbehaving/i,
    'registry-unavailable',
  ],
  [
    /i\/o timeout|handshake timeout|context deadline exceeded|client\.timeout|connection timed out/i,
    'registry-unavailable',
  ],
  [
    /(?:status|registry)(?: code)?:? (?:5\d\d|429)|toomanyrequests|too many requests|bad gateway|service unavailable/i,
    'registry-unavailable',
  ],
  [
    /did not match|does not match|unsupported manifest|unsupported schema|invalid character|cannot unmarshal|unexpected end of json|invalid tar header/i,
    'manifest-invalid',
  ],
  [/unexpected eof/i, 'registry-unavailable'],
  [/no such file or directory/i, 'not-found'],
];

export function reasonFromWords(text: string): ImageFailureReason {
  return words.find(([pattern]) => pattern.test(text))?.[1] ?? 'failed';
}

/** The sentence inside skopeo's log line, without its frame; everything when there is no frame. */
export function skopeoWords(stderr: string): string {
  const lines = [...stderr.matchAll(/level=(?:fatal|error) msg=("(?:[^"\\]|\\.)*")/g)];
  const last = lines.at(-1)?.[1];
  if (last === undefined) return stderr.trim();
  try {
    return String(JSON.parse(last));
  } catch {
    return last.slice(1, -1);
  }
}

/**
 * That the registry does not know TLS at all, or not on the port that nobody named: another thing than a certificate that nobody
 * vouches for.
 */
export function speaksPlainHttp(result: ProgramResult): boolean {
  return /server gave http response to https client|dial tcp [^ ]+:443: connect: connection refused/i.test(
    result.stderr,
  );
}

/** The error for a program that did not do what it was asked; `subject` reads "pull docker.io/library/busybox:latest". */
export function programFailure(subject: string, result: ProgramResult): ImageError {
  const program = result.argv[0] ?? 'the program';
  switch (result.end.kind) {
    case 'not-started':
      return imageError('program-missing', `${subject}: ${program} ${describeEnd(result)}`);
    case 'timed-out':
      return imageError('timed-out', `${subject}: ${describeEnd(result)}`);
    case 'exited': {
      const said = skopeoWords(result.stderr);
      if (said === '') return imageError('failed', `${subject}: ${program} ${describeEnd(result)}`);
      return imageError(reasonFromWords(said), `${subject}: ${said.slice(-2000)}`);
    }
    case 'signalled':
    case 'output-too-large':
      return imageError('failed', `${subject}: ${program} ${describeEnd(result)}`);
  }
}
