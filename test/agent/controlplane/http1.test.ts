import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasControlPlane, TestControlPlane } from '../../support/control-plane.js';
import { NodeWorld } from './cluster-world.js';
import { canMove, MovingNode } from './moving-node.js';
import { ConnectProxy, SocksProxy } from './proxies.js';

describe.runIf(hasControlPlane())('a server without HTTP/2', () => {
  let cluster: TestControlPlane;
  beforeAll(async () => {
    cluster = await TestControlPlane.start({ http2: false });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  async function runsAPod(node: NodeWorld, name: string): Promise<void> {
    await using run = await node.start();
    await node.create(node.pod(name));
    await node.untilReady(name);
    await node.delete(name);
    await node.untilGone(name);
    expect(run.log.text).not.toContain('cannot be used');
  }

  test('does as well', async () => {
    await using node = await NodeWorld.open(cluster);
    await runsAPod(node, 'old');
  });

  test.each([
    ['proxy', 'distant', () => ConnectProxy.open()],
    ['SOCKS5 proxy', 'sunken', () => SocksProxy.open('someone', 'a%b')],
  ] as const)('so does one behind the %s that the kubeconfig names', async (_what, name, open) => {
    await using proxy = await open();
    await using node = await NodeWorld.open(cluster);
    const config = JSON.parse(await readFile(node.kubeconfig, 'utf8')) as { clusters: [{ cluster: object }] };
    Object.assign(config.clusters[0].cluster, { 'proxy-url': proxy.url });
    await writeFile(node.kubeconfig, JSON.stringify(config));
    await runsAPod(node, name);
    expect(new Set(proxy.asked)).toEqual(new Set([new URL(cluster.server).host]));
  });

  test.runIf(canMove())('connections from an address that the machine loses are made anew at once', async () => {
    await using node = await MovingNode.open(cluster, 'wandering');
    await node.untilTold(2);
    await node.use(3);
    await node.untilTold(3);
    // The watch of pods had a connection of its own.
    await node.create('found-again');
    await node.untilPodTold('found-again', 3);
    await node.remove('found-again');
    expect(node.log).not.toContain('no answer within');
  });
});
