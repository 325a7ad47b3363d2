import { expect, test } from 'vitest';
import { containerHash, isHashOf } from './pod-containers.js';

// Of `io.kubernetes.container.hash` as a kubelet writes it; the first is the one that its own test holds fast.
test.each([
  ['test_container', 'foo/image:v1', '8e45cbd0'],
  ['foo', 'bar', '11a6d6d6'],
])('the hash of a container is that of a kubelet: %s, %s', (name, image, hash) => {
  expect(containerHash({ name, image })).toBe(hash);
  expect(isHashOf({ name, image }, hash)).toBe(true);
  expect(isHashOf({ name, image: `${image}2` }, hash)).toBe(false);
});

test('what an earlier berth made is kept too', () => {
  expect(isHashOf({ name: 'main', image: 'busybox:1' }, '4b83ffd2')).toBe(true);
  expect(isHashOf({ name: 'main', image: 'busybox:2' }, '4b83ffd2')).toBe(false);
});
