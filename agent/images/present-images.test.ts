import { expect, test } from 'vitest';
import { criError, type v1 } from '../../cri/index.js';
import { PresentImages } from './present-images.js';

const never = new AbortController().signal;

function runtimeWith(answer: () => v1.ImageStatusResponse): {
  asked: string[];
  clock: { at: number };
  images: PresentImages;
} {
  const asked: string[] = [];
  const clock = { at: 0 };
  const images = new PresentImages({
    clock: { now: () => clock.at },
    images: {
      imageStatus: ({ image }) => {
        asked.push(image?.image ?? '');
        return Promise.resolve().then(answer);
      },
    },
  });
  return { asked, clock, images };
}

test('an image that was seen is not asked for again within a second', async () => {
  const { asked, clock, images } = runtimeWith(() => ({ image: { id: 'sha256:1' } }));
  expect(await images.find('web', never)).toBe('sha256:1');
  clock.at = 999;
  expect(await images.find('web', never)).toBe('sha256:1');
  expect(asked).toEqual(['web']);
  await images.find('other', never);
  clock.at = 1000;
  await images.find('web', never);
  expect(asked).toEqual(['web', 'other', 'web']);
});

test('an image that is not there is asked for each time', async () => {
  let there = false;
  const { images } = runtimeWith(() => (there ? { image: { id: 'sha256:1' } } : {}));
  expect(await images.find('web', never)).toBeUndefined();
  there = true;
  expect(await images.find('web', never)).toBe('sha256:1');
});

test.each([
  ['invalid-argument', 'InvalidImageName'],
  ['unavailable', 'ImageInspectError'],
] as const)('%s is %s, and is asked again', async (code, reason) => {
  let fails = true;
  const { images } = runtimeWith(() => {
    if (fails) throw criError(code, 'the reason');
    return { image: { id: 'sha256:1' } };
  });
  await expect(images.find('web', never)).rejects.toMatchObject({
    failure: { reason },
    message: 'inspect image "web": the reason',
  });
  fails = false;
  expect(await images.find('web', never)).toBe('sha256:1');
});
