import { test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import type { Pod } from '../../agent/api/index.js';
import { hasControlPlane, TestControlPlane } from '../support/control-plane.js';
import { isReady, NodeWorld } from './cluster-world.js';
import { expectSpeed } from '../support/speed.js';

const pods = 30;
const quietMs = 20_000;

test.runIf(hasControlPlane())(
  'a burst of pods costs at most five writes each, and a node at rest asks for little',
  async () => {
    await using cluster = await TestControlPlane.start({ audit: true });
    await using node = await NodeWorld.open(cluster);
    await using run = await node.start();
    const user = `system:node:${node.name}`;
    await cluster.until('the node', async () => (run.log.text.includes('node is registered') ? true : undefined));
    const began = performance.now();
    await Promise.all(Array.from({ length: pods }, (_, index) => node.create(node.pod(`burst-${index}`))));
    const all = async (): Promise<Pod[]> =>
      (await cluster.api('GET', '/api/v1/namespaces/default/pods')).body['items'] as Pod[];
    await cluster.until(
      'all are ready',
      async () => ((await all()).filter(isReady).length === pods ? true : undefined),
      120_000,
    );
    const tookMs = Math.round(performance.now() - began);

    const before = (await cluster.audited(user)).length;
    // Nothing to wait for: what is measured is that nothing happens.
    await systemClock.sleep(quietMs, new AbortController().signal);
    const requests = await cluster.audited(user);
    const perMinute = ((requests.length - before) * 60_000) / quietMs;
    const writes = requests.filter(
      ({ verb, objectRef }) =>
        ['create', 'update', 'patch', 'delete'].includes(verb) &&
        (objectRef?.resource === 'pods' || objectRef?.resource === 'events'),
    );
    process.stdout.write(
      `${pods} pods ready in ${tookMs} ms, ${(writes.length / pods).toFixed(2)} API writes a pod, ${perMinute} requests a minute at rest\n`,
    );
    expectSpeed('API writes a pod', writes.length / pods, 5 + 5 / pods);
    expectSpeed('requests a minute at rest', perMinute, 20);
    await cluster.api('DELETE', '/api/v1/namespaces/default/pods');
    await cluster.until('all are gone', async () => ((await all()).length === 0 ? true : undefined), 120_000);
    await cluster.until('nothing is left', async () =>
      (await node.world.leftovers()).length === 0 ? true : undefined,
    );
  },
  240_000,
);
