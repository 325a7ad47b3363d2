import { describe, expect, test } from 'vitest';
import type { ProgramEnd, ProgramResult } from '../../../base/run-program.js';
import { programFailure, reasonFromWords, skopeoWords, speaksPlainHttp } from './classify-failure.js';

function ended(end: ProgramEnd, stderr: string): ProgramResult {
  return { argv: ['skopeo'], end, stdout: Buffer.alloc(0), stderr, fd3: Buffer.alloc(0), durationMs: 1 };
}

describe('classification of what skopeo says', () => {
  test.each([
    ['reading manifest none in 127.0.0.1:5000/box: manifest unknown: manifest unknown', 'not-found'],
    ['reading manifest 1 in 127.0.0.1:5000/nobody: name unknown: repository name not known to registry', 'not-found'],
    ['reading manifest latest in docker.io/library/x: requested access to the resource is denied', 'unauthorized'],
    ['reading manifest 1 in h:1/box: unauthorized: authentication required', 'unauthorized'],
    ['unable to retrieve auth token: invalid username/password: unauthorized', 'unauthorized'],
    ['invalid status code from registry 403 (Forbidden)', 'unauthorized'],
    [
      'pinging container registry 127.0.0.1:1: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
      'registry-unavailable',
    ],
    ['Get "https://r.invalid/v2/": dial tcp: lookup r.invalid: no such host', 'registry-unavailable'],
    ['dial tcp: lookup r.invalid on 10.0.0.2:53: Temporary failure in name resolution', 'registry-unavailable'],
    ['received unexpected HTTP status: 503 Service Unavailable', 'registry-unavailable'],
    ['toomanyrequests: You have reached your pull rate limit', 'registry-unavailable'],
    ['Get "https://r/v2/": net/http: TLS handshake timeout', 'registry-unavailable'],
    ['Get "https://r/v2/": http: server gave HTTP response to HTTPS client', 'registry-untrusted'],
    ['x509: certificate signed by unknown authority', 'registry-untrusted'],
    ['writing blob: write /x/oci-put-blob1: no space left on device', 'disk-full'],
    ['no image found in manifest list for architecture amd64, variant "", OS linux', 'no-matching-platform'],
    ['Source image rejected: Running image docker://x is rejected by policy.', 'signature-rejected'],
    ['Digest did not match, expected sha256:a, got sha256:b', 'manifest-invalid'],
    ['something nobody has seen', 'failed'],
  ])('%s: %s', (words, reason) => {
    expect(reasonFromWords(words)).toBe(reason);
  });

  test('a port or digest that looks like a status is none', () => {
    expect(reasonFromWords('trouble with 127.0.0.1:403/x@sha256:404404404')).toBe('failed');
  });

  test('the sentence is taken out of the log line', () => {
    const line = 'time="2022-01-01T00:00:00Z" level=fatal msg="reading manifest 1 in \\"h/x\\": manifest unknown"\n';
    expect(skopeoWords(`warning\n${line}`)).toBe('reading manifest 1 in "h/x": manifest unknown');
    expect(skopeoWords('plain words\n')).toBe('plain words');
  });

  test.each([
    [
      'pinging container registry 127.0.0.1:5000: Get "https://127.0.0.1:5000/v2/": http: server gave HTTP response to HTTPS client',
      true,
    ],
    [
      'pinging container registry 127.0.0.9: Get "https://127.0.0.9/v2/": dial tcp 127.0.0.9:443: connect: connection refused',
      true,
    ],
    [
      'pinging container registry 127.0.0.1:5000: Get "https://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused',
      false,
    ],
    ['x509: certificate signed by unknown authority', false],
  ])('plain http is known by the words: %s', (said, expected) => {
    expect(speaksPlainHttp(ended({ kind: 'exited', code: 1 }, said))).toBe(expected);
  });

  test('how it ended decides before what it said', () => {
    expect(programFailure('pull x', ended({ kind: 'not-started', errno: 'ENOENT' }, '')).failure.reason).toBe(
      'program-missing',
    );
    expect(programFailure('pull x', ended({ kind: 'timed-out', afterMs: 5 }, '')).failure.code).toBe(
      'deadline-exceeded',
    );
    const killed = programFailure('pull x', ended({ kind: 'signalled', signal: 'SIGKILL' }, ''));
    expect(killed.message).toBe('pull x: skopeo killed by SIGKILL');
    const failed = programFailure('pull x', ended({ kind: 'exited', code: 1 }, 'level=fatal msg="connection refused"'));
    expect(failed.failure).toEqual({
      code: 'unavailable',
      reason: 'registry-unavailable',
      pullReason: 'RegistryUnavailable',
    });
  });
});
