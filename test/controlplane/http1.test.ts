import { expect, test } from 'vitest';
import { hasControlPlane, TestControlPlane } from '../support/control-plane.js';
import { NodeWorld } from './cluster-world.js';

test.runIf(hasControlPlane())('a server without HTTP/2 does as well', async () => {
  await using cluster = await TestControlPlane.start({ http2: false });
  await using node = await NodeWorld.open(cluster);
  await using run = await node.start();
  await node.create(node.pod('old'));
  await node.untilReady('old');
  await node.delete('old');
  await node.untilGone('old');
  expect(run.log.text).not.toContain('cannot be used');
});
