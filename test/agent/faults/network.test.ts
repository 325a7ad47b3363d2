import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { untilAsync } from '../../support/until-async.js';
import { container, podManifest } from '../pod-objects.js';

const confFile = '10-test.conflist';

/** A plugin of the test in front of the real ones. */
class ScriptPlugin {
  readonly #path: string;

  constructor(world: AgentWorld, name: string) {
    this.#path = join(world.dir, 'cni-bin', name);
  }

  async is(script: string): Promise<void> {
    await writeFile(this.#path, `#!/bin/sh\n${script}\n`);
    await chmod(this.#path, 0o755);
  }

  /** Does what the real bridge plugin does. */
  async works(): Promise<void> {
    await this.is('exec /usr/lib/cni/bridge');
  }

  async isGone(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

async function openWorld(): Promise<AgentWorld> {
  const world = await AgentWorld.open((config) => ({
    ...config,
    limits: { ...config.limits, cniMs: 2000 },
    paths: {
      ...config.paths,
      cniBinDirs: [join(config.paths.cniConfDir, '..', 'cni-bin'), ...config.paths.cniBinDirs],
    },
  }));
  await mkdir(join(world.dir, 'cni-bin'));
  await rm(join(world.config.paths.cniConfDir, confFile));
  return world;
}

function conflist(world: AgentWorld, type: string): string {
  return JSON.stringify({
    cniVersion: '1.0.0',
    name: world.bridge,
    plugins: [
      {
        type,
        bridge: world.bridge,
        isGateway: true,
        ipMasq: true,
        ipam: { type: 'host-local', dataDir: join(world.dir, 'addresses'), ranges: [[{ subnet: '10.235.7.0/24' }]] },
      },
    ],
  });
}

const configure = (world: AgentWorld, text: string): Promise<void> =>
  writeFile(join(world.config.paths.cniConfDir, confFile), text);

async function end(run: AgentRun, world: AgentWorld): Promise<void> {
  for (const { name } of [...run.pods.values()]) await run.delete(name, 1);
  await run.untilGone();
  expect(await world.leftovers()).toEqual([]);
}

test('a node without a network says so, runs what needs none, and goes on when it has one', async () => {
  await using world = await openWorld();
  await using run = await world.start();
  await run.untilStarted();
  await run.apply(podManifest('guest', { containers: [container('main')] }));
  await run.apply(podManifest('host', { hostNetwork: true, containers: [container('main')] }));
  await run.untilReady('host');
  const waiting = await run.untilPod('guest', 'waits for the network', (pod) =>
    pod.waits.some((wait) => wait.startsWith('network ')),
  );
  expect(waiting.waits[0]).toContain(world.config.paths.cniConfDir);
  expect(waiting.phase).toBe('Pending');
  expect(run.eventsOf('guest').join('\n')).toContain('NetworkNotReady: network is not ready');

  await configure(world, '{ "cniVersion": "1.0.0", "name": ');
  await run.untilPod('guest', 'is told of the broken file', (pod) => pod.waits.join().includes(confFile));
  await configure(world, conflist(world, 'bridge'));
  await run.untilReady('guest');
  await end(run, world);
});

test('plugins that are missing, print garbage, fail half way or hang hold a pod only as long as they do', async () => {
  await using world = await openWorld();
  const plugin = new ScriptPlugin(world, 'shaky');
  await configure(world, conflist(world, 'shaky'));
  await using run = await world.start();
  await run.untilStarted();

  const troubles: { name: string; make: () => Promise<void>; says: RegExp }[] = [
    { name: 'missing', make: () => plugin.isGone(), says: /shaky/ },
    { name: 'garbage', make: () => plugin.is('echo this is no JSON; exit 0'), says: /this is no JSON/ },
    {
      name: 'refusing',
      make: () =>
        plugin.is(
          `[ "$CNI_COMMAND" = ADD ] || exec /usr/lib/cni/bridge; echo '{"cniVersion":"1.0.0","code":11,"msg":"out of luck","details":"try a star"}'; exit 1`,
        ),
      says: /out of luck/,
    },
    {
      name: 'half-way',
      make: () =>
        plugin.is(
          `[ "$CNI_COMMAND" = ADD ] || exec /usr/lib/cni/bridge; /usr/lib/cni/bridge > /dev/null; echo '{"cniVersion":"1.0.0","code":100,"msg":"stumbled after the address"}'; exit 1`,
        ),
      says: /stumbled after the address/,
    },
    {
      name: 'crashing',
      make: () => plugin.is(`[ "$CNI_COMMAND" = ADD ] || exec /usr/lib/cni/bridge; echo last words >&2; kill -SEGV $$`),
      says: /SIGSEGV|last words/,
    },
    {
      name: 'hanging',
      make: () => plugin.is('[ "$CNI_COMMAND" = ADD ] || exec /usr/lib/cni/bridge; sleep 1000000'),
      says: /no end within 2000 ms, killed/,
    },
    {
      name: 'hanging-late',
      make: () =>
        plugin.is(
          '[ "$CNI_COMMAND" = ADD ] && { /usr/lib/cni/bridge > /dev/null; sleep 1000000; }; exec /usr/lib/cni/bridge',
        ),
      says: /no end within 2000 ms, killed/,
    },
  ];
  for (const { name, make, says } of troubles) {
    await make();
    await run.apply(podManifest(name, { containers: [container('main')] }));
    const stuck = await run.untilPod(name, 'tells the words of the plugin', (pod) =>
      pod.waits.some((wait) => says.test(wait)),
    );
    expect(stuck.waits[0]).toMatch(/^(create-sandbox sandbox|network ).*: /);
    expect(stuck.phase).toBe('Pending');
    expect(stuck.status.conditions?.find(({ type }) => type === 'PodReadyToStartContainers')?.status).toBe('False');
    await plugin.works();
    await run.ask({ do: 'retry', uid: stuck.uid });
    await run.untilReady(name);
    const taken = [...run.pods.values()].filter(({ ip }) => ip !== '').length;
    await untilAsync(
      `${taken} addresses are taken after ${name}`,
      async () => (await world.addresses()).length === taken,
      { tell: () => world.addresses() },
    );
  }

  await plugin.is('[ "$CNI_COMMAND" = ADD ] || exec /usr/lib/cni/bridge; sleep 1000000');
  await run.apply(podManifest('given-up', { containers: [container('main')] }));
  await run.untilPod('given-up', 'waits for its sandbox', (pod) =>
    pod.waits.some((wait) => wait.startsWith('create-sandbox')),
  );
  await run.delete('given-up', 1);
  await run.until('the pod is gone', () => run.find('given-up') === undefined);
  await end(run, world);
});

test('an address that cannot be given back is given back when it can', async () => {
  await using world = await openWorld();
  const plugin = new ScriptPlugin(world, 'shaky');
  await plugin.works();
  await configure(world, conflist(world, 'shaky'));
  await using run = await world.start();
  await run.untilStarted();
  await run.apply(podManifest('holding', { containers: [container('main')] }));
  await run.untilReady('holding');
  await plugin.is(`echo '{"cniVersion":"1.0.0","code":11,"msg":"not now"}'; exit 1`);
  await run.delete('holding', 1);
  const stuck = await run.untilPod('holding', 'tells why it stays', (pod) =>
    pod.waits.some((wait) => wait.includes('not now')),
  );
  expect(stuck.waits[0]).toMatch(/^stop-sandbox sandbox \w+: /);
  expect(run.eventsOf('holding').join('\n')).toMatch(/FailedKillPod: .*not now/);
  await plugin.works();
  await run.ask({ do: 'retry', uid: stuck.uid });
  await end(run, world);
});
