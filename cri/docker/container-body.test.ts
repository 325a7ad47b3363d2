import { expect, test } from 'vitest';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { containerBody, type ContainerBodyInput } from './container-body.js';
import type { DockerContext } from './options.js';

const context = { lowestOomScore: 0, files: { resolvConfPath: () => '/r' } } as unknown as DockerContext;

async function bodyOf(config: v1.ContainerConfig): Promise<unknown> {
  const namespaces = { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } as const;
  const sandbox = { metadata: {}, hostname: '', logDirectory: '', runtimeHandler: '', namespaces };
  const input: ContainerBodyInput = {
    ...{ sandboxId: 's', sandbox, sandboxName: 'n', cgroupParent: '', imageId: 'i', logPath: '' },
    config: { metadata: { name: 'main' }, ...config },
  };
  return await containerBody(context, input);
}

test('the healthcheck of the image is left out', async () => {
  expect(await bodyOf({})).toMatchObject({ Healthcheck: { Test: ['NONE'] } });
});

test('a read-only mount is that alone, and not what is mounted below it, whatever the version of Docker', async () => {
  const body = await bodyOf({
    mounts: [
      { hostPath: '/', containerPath: '/ro', readonly: true, propagation: 'PROPAGATION_HOST_TO_CONTAINER' },
      { hostPath: '/', containerPath: '/rw' },
    ],
  });
  expect(body).toMatchObject({
    HostConfig: {
      Mounts: [
        { Target: '/etc/resolv.conf' },
        { Target: '/ro', ReadOnly: true, BindOptions: { Propagation: 'rslave', ReadOnlyNonRecursive: true } },
        { Target: '/rw', ReadOnly: false, BindOptions: { ReadOnlyNonRecursive: false } },
      ],
    },
  });
});
