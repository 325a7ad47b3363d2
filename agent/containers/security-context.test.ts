import { expect, test } from 'vitest';
import type { Container, Pod, PodSpec } from '../api/index.js';
import {
  containerSecurityContext,
  namespaceOptions,
  sandboxSecurityContext,
  type ImageUser,
} from './security-context.js';

const defaults = { seccompDefault: false, seccompRoot: '/seccomp' };
const root: ImageUser = { uid: 0, username: '' };
const pod = (spec: Partial<PodSpec> = {}): Pod => ({
  metadata: { name: 'web', namespace: 'default', uid: 'u' },
  spec: { containers: [], ...spec },
});
const container = (securityContext: Container['securityContext']): Container => ({ name: 'c', securityContext });
const map = (
  subject: Pod,
  own: Container['securityContext'],
  image = root,
): ReturnType<typeof containerSecurityContext> =>
  containerSecurityContext(subject, container(own), image, [], undefined, defaults);

test('a container that says nothing runs as the image says, with the usual masks', () => {
  const context = map(pod(), undefined, { uid: 1000, username: '' });
  expect(context).toMatchObject({
    privileged: false,
    runAsUser: { value: 1000 },
    noNewPrivs: false,
    readonlyRootfs: false,
    seccomp: { profileType: 'Unconfined' },
  });
  expect(context.maskedPaths).toContain('/proc/kcore');
  expect(context.readonlyPaths).toContain('/proc/sys');
});

test('fields of the container replace those of the pod, one by one', () => {
  const subject = pod({
    securityContext: {
      runAsUser: 1,
      runAsGroup: 2,
      fsGroup: 3,
      supplementalGroups: [4],
      seccompProfile: { type: 'RuntimeDefault' },
    },
  });
  expect(map(subject, { runAsUser: 9 })).toMatchObject({
    runAsUser: { value: 9 },
    runAsGroup: { value: 2 },
    supplementalGroups: [3, 4],
    seccomp: { profileType: 'RuntimeDefault' },
  });
});

test.each<[Container['securityContext'], { uid: number | undefined; username: string }, RegExp | undefined]>([
  [{ runAsNonRoot: true }, root, /^container has .* will run as root \(pod: "web_default\(u\)", container: c\)$/],
  [{ runAsNonRoot: true }, { uid: undefined, username: 'www' }, /non-numeric user \(www\)/],
  [{ runAsNonRoot: true, runAsUser: 0 }, { uid: 5, username: '' }, /breaks non-root policy/],
  [{ runAsNonRoot: true, runAsUser: 5 }, root, undefined],
  [{ runAsNonRoot: true }, { uid: 5, username: '' }, undefined],
])('runAsNonRoot %j with image %j', (own, image, refusal) => {
  if (refusal) expect(() => map(pod(), own, image)).toThrow(refusal);
  else expect(map(pod(), own, image).runAsUser?.value).toBe(5);
});

test('privileged and unmasked containers see all of /proc; no_new_privs only when asked', () => {
  expect(map(pod(), { privileged: true }).maskedPaths).toEqual([]);
  expect(map(pod(), { procMount: 'Unmasked' }).readonlyPaths).toEqual([]);
  expect(map(pod(), { allowPrivilegeEscalation: false }).noNewPrivs).toBe(true);
});

test('a local seccomp profile cannot leave its folder', () => {
  expect(map(pod(), { seccompProfile: { type: 'Localhost', localhostProfile: 'a/b.json' } }).seccomp).toEqual({
    profileType: 'Localhost',
    localhostRef: '/seccomp/a/b.json',
  });
  for (const localhostProfile of ['../x', '/etc/x', '']) {
    expect(() => map(pod(), { seccompProfile: { type: 'Localhost', localhostProfile } })).toThrow(
      /must be a path below/,
    );
  }
});

test.each<[Partial<PodSpec>, string | undefined, object]>([
  [{}, undefined, { network: 'POD', ipc: 'POD', pid: 'CONTAINER' }],
  [{ hostNetwork: true, hostIPC: true, hostPID: true }, undefined, { network: 'NODE', ipc: 'NODE', pid: 'NODE' }],
  [{ shareProcessNamespace: true }, undefined, { network: 'POD', ipc: 'POD', pid: 'POD' }],
  [{}, 'abc', { network: 'POD', ipc: 'POD', pid: 'TARGET', targetId: 'abc' }],
])('namespaces of %j for target %s', (spec, target, expected) => {
  expect(namespaceOptions(pod(spec), target)).toEqual(expected);
});

test('a group goes to the sandbox with its user only: a sandbox has no image to say who else it would be for', () => {
  const sandbox = (own: object): object => sandboxSecurityContext(pod({ securityContext: own }), defaults);
  expect(sandbox({ runAsGroup: 2 })).toMatchObject({ runAsUser: null, runAsGroup: null });
  expect(sandbox({ runAsUser: 1, runAsGroup: 2 })).toMatchObject({ runAsUser: { value: 1 }, runAsGroup: { value: 2 } });
});

test('an ephemeral container that is privileged makes the sandbox so, as far as it is told', () => {
  const later = { name: 'debugger', image: 'x', securityContext: { privileged: true } };
  const { spec, ...rest } = pod();
  const subject = { ...rest, spec: { containers: [], ...spec, ephemeralContainers: [later] } };
  expect(sandboxSecurityContext(subject, defaults).privileged).toBe(true);
});

test('one privileged container makes the sandbox privileged', () => {
  const subject = pod({ containers: [container({}), container({ privileged: true })] });
  expect(sandboxSecurityContext(subject, defaults)).toMatchObject({
    privileged: true,
    seccomp: { profileType: 'RuntimeDefault' },
  });
});
