import { expect, test } from 'vitest';
import type { ImageService, v1 } from '../../cri/index.js';
import { ImageUserLookup } from './image-user.js';

const { signal } = new AbortController();

function lookupOf(answer: (name: string) => v1.Image | undefined): { users: ImageUserLookup; asked: string[] } {
  const asked: string[] = [];
  const images = {
    imageStatus: async ({ image }: v1.ImageStatusRequest) => {
      const name = image?.image ?? '';
      asked.push(name);
      return { image: answer(name) };
    },
  } as unknown as ImageService;
  return { users: new ImageUserLookup(images), asked };
}

test('an image is asked for once: its id names its content', async () => {
  const { users, asked } = lookupOf((id) => ({ id, uid: { value: 7 }, username: '' }));
  expect([await users.of('sha256:a', signal), await users.of('sha256:a', signal)]).toEqual([
    { uid: 7, username: '' },
    { uid: 7, username: '' },
  ]);
  await users.of('sha256:b', signal);
  expect(asked).toEqual(['sha256:a', 'sha256:b']);
});

test('a name that may come to mean another image, and one that is not here, are asked for each time', async () => {
  const { users, asked } = lookupOf((name) => (name === 'gone' ? undefined : { id: 'sha256:a', username: 'web' }));
  expect(await users.of('web:1', signal)).toEqual({ uid: undefined, username: 'web' });
  await users.of('web:1', signal);
  expect(await users.of('gone', signal)).toEqual({ uid: undefined, username: '' });
  await users.of('gone', signal);
  expect(asked).toEqual(['web:1', 'web:1', 'gone', 'gone']);
});
