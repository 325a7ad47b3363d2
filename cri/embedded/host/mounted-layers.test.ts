import { expect, test } from 'vitest';
import { mountedLayers } from './mounted-layers.js';

test('lower folders of overlay mounts, and of nothing else', () => {
  const text = [
    '36 35 0:50 / /run/x/rootfs rw,relatime - overlay overlay rw,lowerdir=/var/lib/i/l/2:/var/lib/i/l/1,upperdir=/u,workdir=/w',
    '37 35 0:51 / /run/y/rootfs rw - overlay overlay rw,lowerdir+=/var/lib/i/l/7,lowerdir+=/var/lib/i/l/8,upperdir=/u2',
    '39 35 0:53 / /run/z/rootfs rw - overlay overlay rw,lowerdir=lower-0-12:lower-1-9,upperdir=/u3,workdir=/w3',
    '38 35 0:52 / /tmp rw - tmpfs tmpfs rw,lowerdir=/no',
  ].join('\n');
  expect([...mountedLayers(text)].sort()).toEqual([
    '/var/lib/i/l/1',
    '/var/lib/i/l/2',
    '/var/lib/i/l/7',
    '/var/lib/i/l/8',
    '12',
    '9',
  ]);
});
