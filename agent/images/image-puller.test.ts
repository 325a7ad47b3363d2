import { expect, test } from 'vitest';
import type { ImageService } from '../../cri/index.js';
import { systemClock } from '../../base/clock.js';
import { ImagePuller } from './image-puller.js';

const { signal } = new AbortController();

/** A runtime that has the images it is asked about, and what is said of them. */
function world() {
  const told: string[] = [];
  const asked: (string | undefined)[] = [];
  const puller = new ImagePuller({
    clock: systemClock,
    images: {
      imageStatus: ({ image }: { image?: { image?: string } }) => {
        asked.push(image?.image);
        return Promise.resolve({ image: { id: `id of ${image?.image}` } });
      },
    } as unknown as ImageService,
    events: {
      record: (_of: unknown, type: string, reason: string, message: string) =>
        void told.push(`${type} ${reason} ${message}`),
    },
    pace: { run: (pull: () => Promise<unknown>) => pull() } as never,
    access: undefined,
    credentials: () => Promise.resolve({ candidates: [], notes: [] }),
    progress: () => {},
  });
  const ensure = (image: string): Promise<{ imageId: string }> => {
    const container = { name: 'main', image, imagePullPolicy: 'IfNotPresent' } as const;
    const pod = { metadata: { name: 'web' }, spec: { containers: [container] } };
    return puller.ensure(pod, { kind: 'regular', container, index: 0, path: 'spec.containers[0]' }, signal);
  };
  return { told, asked, ensure };
}

test.each(['Localhost/NO:::x', 'UPPER', 'a b', ''])('%j can name no image: nobody is asked for it', async (image) => {
  const { told, asked, ensure } = world();
  const message = `Failed to apply default image tag "${image}": couldn't parse image name "${image}": invalid reference format`;
  await expect(ensure(image)).rejects.toMatchObject({ failure: { reason: 'InvalidImageName' }, message });
  expect(told).toEqual([`Warning InspectFailed ${message}`]);
  expect(asked).toEqual([]);
});

test.each([
  'busybox',
  'localhost/test/busybox:1',
  `a/b@sha256:${'a'.repeat(64)}`,
  `sha256:${'a'.repeat(64)}`,
  'b'.repeat(64),
])('%s is looked for', async (image) => {
  const { told, asked, ensure } = world();
  expect(await ensure(image)).toEqual({ imageId: `id of ${image}` });
  expect(asked).toEqual([image]);
  expect(told).toEqual([`Normal Pulled Container image "${image}" already present on machine`]);
});
