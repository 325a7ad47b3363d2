import { describe, expect, test } from 'vitest';
import type { CurrentWait, WaitStep } from '../../podloop/steps.js';
import { hintFor, rejectionHint } from './hints.js';

function ask(step: WaitStep, reason?: string, message = ''): string | undefined {
  const lastError = reason === undefined ? undefined : { reason, message };
  const wait: CurrentWait = { step, object: 'x', container: 'main', since: 0, attempt: 1, lastError };
  return hintFor({ wait, pod: 'web', namespace: 'shop' });
}

describe('what would unblock it', () => {
  test.each<[WaitStep, string | undefined, string, RegExp]>([
    ['ensure-image', 'ErrImageNeverPull', 'not present with pull policy of Never', /berth images import FILE/],
    ['ensure-image', 'InvalidImageName', 'x', /correct the image name/],
    ['ensure-image', 'ErrImagePull', 'registry: unauthorized: authentication required', /imagePullSecrets/],
    ['ensure-image', 'ErrImagePull', 'reading manifest 1: manifest unknown', /does not have this image/],
    ['ensure-image', 'ErrImagePull', 'server gave HTTP response to HTTPS client', /--insecure-registry/],
    ['ensure-image', 'ErrImagePull', 'dial tcp 10.0.0.1:443: connect: connection refused', /cannot be reached/],
    ['ensure-image', 'ErrImagePull', 'something new', /berth images pull NAME/],
    ['start-container', 'CreateContainerConfigError', 'configmap "a" not found', /get configmaps -n shop/],
    ['start-container', 'CreateContainerConfigError', "couldn't find key b in Secret shop/a", /get secrets -n shop/],
    [
      'start-container',
      'CreateContainerConfigError',
      'container has runAsNonRoot and image will run as root',
      /runAsUser/,
    ],
    ['start-container', 'RunContainerError', 'executable file `nope` not found in $PATH', /no such program/],
    ['start-container', 'RunContainerError', 'open /x: Permission denied', /may not/],
    ['start-container', 'CreateContainerError', 'make `/r/rootfs` private: Permission denied', /chmod o\+x/],
    ['start-container', 'PostStartHookError', 'exited with 1', /postStart/],
    ['start-container', 'RunContainerError', 'odd', /trace web --interface oci/],
    ['mount-volumes', 'FailedMount', 'configmap "a" not found', /optional: true/],
    ['mount-volumes', 'FailedMount', 'hostPath type check failed: /x is not a directory', /DirectoryOrCreate/],
    ['mount-volumes', 'FailedMount', 'persistentvolumeclaim "a" not found', /claim belongs into namespace shop/],
    ['mount-volumes', 'FailedMount', 'init of FlexVolume driver a/b: /x/a~b/b does not exist', /VENDOR~DRIVER/],
    ['mount-volumes', 'FailedMount', 'use CSI driver d: it is gone since 1', /start the driver/],
    ['mount-volumes', 'FailedMount', 'mount -t nfs a:/b: exited with 32: mount.nfs: No such device', /module nfs/],
    ['mount-volumes', 'FailedMount', 'mount -t nfs a:/b was begun at 1 and has not ended: x', /bring the server back/],
    ['mount-volumes', 'FailedMount', 'mount exited with 32', /trace web --verbose/],
    ['network', 'NetworkNotReady', 'no configuration', /berth check/],
    ['create-sandbox', 'FailedCreatePodSandBox', 'cannot listen: bind: address already in use', /host port/],
    ['create-sandbox', 'FailedCreatePodSandBox', 'no IP addresses available in range set', /larger subnet/],
    ['create-sandbox', 'FailedCreatePodSandBox', 'plugin crashed', /trace web --interface cni/],
    [
      'restart-back-off',
      'CrashLoopBackOff',
      'back-off',
      /logs web -n shop -c main --previous.*berth retry web -n shop/,
    ],
    ['readiness-probe', undefined, '', /readiness probe fails/],
    ['kill-container', undefined, '', /--force/],
    ['unmount-volumes', 'FailedUnMount', 'busy', /--failed --verbose/],
    ['sources', undefined, '', /source of pods/],
  ])('%s %s %s', (step, reason, message, expected) => {
    expect(ask(step, reason, message)).toMatch(expected);
  });

  test('a container that backs off because of its hook', () => {
    const lastError = { reason: 'CrashLoopBackOff', message: 'back-off' };
    const cause = { reason: 'PostStartHookError', message: 'exited with 7: no such luck' };
    const wait: CurrentWait = {
      ...{ step: 'restart-back-off', object: 'container main', container: 'main', since: 0, attempt: 2 },
      ...{ lastError, cause },
    };
    expect(hintFor({ wait, pod: 'web', namespace: 'shop' })).toMatch(
      /correct the postStart hook.*logs web -n shop -c main --previous.*berth retry web -n shop/,
    );
  });

  const allSteps: Record<WaitStep, true> = {
    ...{ 'prepare-pod': true, 'mount-volumes': true, 'create-sandbox': true, 'ensure-image': true },
    ...{
      'start-container': true,
      'pre-stop': true,
      'kill-container': true,
      'resize-pod': true,
      'stop-sandbox': true,
      'pin-containers': true,
    },
    ...{ 'remove-container': true, 'remove-sandbox': true, 'unmount-volumes': true, 'release-pod': true },
    ...{ devices: true, runtime: true, network: true, 'restart-back-off': true, 'init-container': true },
    ...{ 'startup-probe': true, 'readiness-probe': true, 'readiness-gate': true, resize: true },
    ...{ 'turn-to-stop': true, sources: true },
  };
  test.each(Object.keys(allSteps) as WaitStep[])('%s has an answer whatever went wrong', (step) => {
    expect(ask(step, 'Odd', 'nobody has seen this before')).toBeTruthy();
  });

  test.each<WaitStep>(['ensure-image', 'mount-volumes', 'create-sandbox', 'start-container', 'prepare-pod'])(
    '%s without an error only needs a moment',
    (step) => expect(ask(step)).toBeUndefined(),
  );
});

test.each([
  ['NodePorts', /host port.*berth delete pod web -n shop/],
  ['OutOfcpu', /berth describe node/],
  ['Evicted', /berth pressure/],
  ['UnexpectedAdmissionError', undefined],
])('a pod the node did not take: %s', (reason, expected) => {
  const hint = rejectionHint(reason, 'web', 'shop');
  if (expected === undefined) expect(hint).toBeUndefined();
  else expect(hint).toMatch(expected);
});
