import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { ServedDevicePlugin } from '../../../deviceplugin/index.js';
import { UnixServer, type ServedStream } from '../../../deviceplugin/wire/unix-server.js';
import { serviceDefinition } from '../../../proto/load.js';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { expectSpeed } from '../../support/speed.js';
import { container, podManifest } from '../pod-objects.js';
import { deviceStatus, healthOf } from './gpu-agent.js';

const nic = 'example.com/nic';
const driverName = 'dra.example.com';

/** An agent whose CDI specifications lie in its own folder: two devices that say which they are. */
async function openWorld(): Promise<AgentWorld> {
  const world = await AgentWorld.open((config) => ({
    ...config,
    devices: { ...config.devices, cdiDirs: [join(dirname(config.paths.rootDir), 'cdi')] },
  }));
  const device = (name: string): object => ({
    name,
    containerEdits: {
      env: [`CDI_DEVICE=${name}`],
      deviceNodes: [{ path: `/dev/${name}`, hostPath: '/dev/zero', permissions: 'rw' }],
    },
  });
  await mkdir(join(world.dir, 'cdi'));
  const spec = { cdiVersion: '0.6.0', kind: 'example.com/dev', devices: [device('one'), device('two')] };
  await writeFile(join(world.dir, 'cdi', 'example.json'), JSON.stringify(spec));
  return world;
}

async function end(world: AgentWorld, run: AgentRun): Promise<void> {
  for (const { name } of run.pods.values()) await run.delete(name, 1);
  await run.untilGone();
  expect(await world.leftovers()).toEqual([]);
}

test('a plugin that answers with CDI names, mounts and annotations, and is asked before each start', async () => {
  await using world = await openWorld();
  const given = join(world.dir, 'given');
  await mkdir(given);
  await writeFile(join(given, 'word'), 'from the plugin');
  const run = await world.start();
  await run.untilStarted();
  let starts = 0;
  let refuse = true;
  await using _plugin = await ServedDevicePlugin.serve(
    { resource: nic, folder: join(world.config.paths.rootDir, 'device-plugins') },
    {
      allocate: () => ({
        cdiDevices: [{ name: 'example.com/dev=one' }],
        mounts: [{ hostPath: given, containerPath: '/given', readOnly: true }],
        envs: { NIC: 'yes' },
      }),
      preStart: () => {
        starts++;
        if (refuse) throw new Error('the firmware is not loaded');
      },
    },
    [{ id: 'nic-0', healthy: true, numaNodes: [] }],
  );
  await vi.waitFor(() => expect(run.log).toContain('device plugin lists its devices'), { timeout: 60_000 });
  await run.apply(podManifest('wired', { containers: [container('main', { resources: { limits: { [nic]: '1' } } })] }));
  const held = await run.untilPod('wired', 'is not started', (pod) =>
    JSON.stringify(pod.status).includes('PreStartHookError'),
  );
  expect(held.status.containerStatuses?.[0]?.state?.waiting?.message).toContain('the firmware is not loaded');
  const refused = /^Failed: Internal PreStartContainer hook failed: .*the firmware is not loaded/;
  await run.until('it is told', () => run.eventsOf('wired').some((event) => refused.test(event)));
  refuse = false;
  await run.untilReady('wired');
  expect(starts).toBeGreaterThan(1);
  expect(await run.sh('wired', 'main', 'echo $CDI_DEVICE $NIC $(cat /given/word); head -c 2 /dev/one | wc -c')).toBe(
    'one yes from the plugin\n2',
  );
  await expect(run.sh('wired', 'main', 'touch /given/word')).rejects.toThrow('Read-only');
  await end(world, run);
});

interface Claims {
  readonly claims: readonly { readonly uid: string; readonly name: string }[];
}

test('a pod with a resource claim: prepared before its sandbox, given to the container that names it, undone after', async () => {
  await using world = await openWorld();
  const run = await world.start();
  await run.untilStarted();
  const calls: string[] = [];
  let broken = true;
  const answer =
    (verb: string, each: () => object) =>
    async (request: object): Promise<object> => {
      const { claims } = request as Claims;
      calls.push(`${verb} ${claims.map(({ name }) => name).join()}`);
      return await Promise.resolve({ claims: Object.fromEntries(claims.map(({ uid }) => [uid, each()])) });
    };
  const device = { poolName: 'p', deviceName: 'd', cdiDeviceIds: ['example.com/dev=two'], requestNames: ['r'] };
  let health: ServedStream | undefined;
  const endpoint = join(world.dir, 'dra.sock');
  await using _driver = await UnixServer.listen(
    endpoint,
    [
      {
        definition: serviceDefinition('dra-v1', 'k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin'),
        methods: {
          nodePrepareResources: answer('prepare', () => (broken ? { error: 'no power' } : { devices: [device] })),
          nodeUnprepareResources: answer('unprepare', () => ({})),
        },
      },
      {
        definition: serviceDefinition('dra-health-v1alpha1', 'v1alpha1.DRAResourceHealth'),
        methods: {},
        streams: { nodeWatchResources: (call) => (health = call) },
      },
    ],
    0o750,
  );
  const told: object[] = [];
  await using _registration = await UnixServer.listen(
    join(world.config.paths.rootDir, 'plugins_registry', 'dra.sock'),
    [
      {
        definition: serviceDefinition('pluginregistration-v1', 'pluginregistration.Registration'),
        methods: {
          getInfo: async () =>
            await Promise.resolve({
              type: 'DRAPlugin',
              name: driverName,
              endpoint,
              supportedVersions: ['v1.DRAPlugin', 'v1alpha1.DRAResourceHealth'],
            }),
          notifyRegistrationStatus: async (status) => {
            told.push(status);
            return await Promise.resolve({});
          },
        },
      },
    ],
    0o750,
  );
  await vi.waitFor(() => expect(told).toEqual([{ pluginRegistered: true, error: '' }]), { timeout: 60_000 });
  await vi.waitFor(() => expect(health).toBeDefined(), { timeout: 60_000 });

  const uid = '11111111-2222-4333-8444-555555555555';
  const claim = {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { name: 'mine', namespace: 'default', uid: 'claim-uid' },
    spec: {},
    status: {
      reservedFor: [{ resource: 'pods', name: 'claimant', uid }],
      allocation: { devices: { results: [{ driver: driverName, pool: 'p', device: 'd', request: 'r' }] } },
    },
  };
  await run.apply(JSON.stringify(claim), true);
  const manifest = podManifest(
    'claimant',
    {
      resourceClaims: [{ name: 'dev', resourceClaimName: 'mine' }],
      containers: [container('main', { resources: { claims: [{ name: 'dev' }] } }), container('other')],
    },
    { uid, namespace: 'default' },
  );
  await run.apply(manifest);
  await run.untilPod('claimant', 'waits for the claim', (pod) => pod.waits.some((wait) => wait.includes('no power')));
  const noPower = /^FailedPrepareDynamicResources: Failed to prepare dynamic resources: .*no power/;
  await run.until('it is told', () => run.eventsOf('claimant').some((event) => noPower.test(event)));
  broken = false;
  await run.untilReady('claimant');
  expect(await run.sh('claimant', 'main', 'echo $CDI_DEVICE; test -c /dev/two')).toBe('two');
  expect(await run.sh('claimant', 'other', 'echo -$CDI_DEVICE-')).toBe('--');
  expect(healthOf(run.pod('claimant'))).toEqual(['example.com/dev=two Unknown']);
  expect(calls.at(-1)).toBe('prepare mine');

  const report = { device: { poolName: 'p', deviceName: 'd' }, health: 'UNHEALTHY', message: 'too hot' };
  const said = performance.now();
  health?.write({ devices: [report] });
  const hot = await run.untilPod('claimant', 'tells of it', (pod) => healthOf(pod)[0]?.endsWith('Unhealthy') === true);
  expectSpeed('health of a claim until the pod tells, ms', performance.now() - said, 1000);
  expect(deviceStatus(hot)).toEqual([
    {
      name: 'claim:dev',
      resources: [{ resourceID: 'example.com/dev=two', health: 'Unhealthy', message: 'too hot' }],
    },
  ]);
  expect(deviceStatus(hot, 'other')).toBeUndefined();
  health?.write({ devices: [{ ...report, health: 'HEALTHY', message: '' }] });
  await run.untilPod('claimant', 'is well', (pod) => healthOf(pod).includes('example.com/dev=two Healthy'));
  await end(world, run);
  expect(calls.at(-1)).toBe('unprepare mine');
});
