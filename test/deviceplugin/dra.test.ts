import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { DraError, DraManager, type ClaimingPod, type ResourceClaim } from '../../deviceplugin/index.js';
import { UnixServer, type ServedStream } from '../../deviceplugin/wire/unix-server.js';
import { serviceDefinition } from '../../proto/load.js';
import { DeviceWorld, eventually, signal } from './device-world.js';

const driverName = 'gpu.example.com';

interface Answers {
  prepare?: (request: object) => Promise<object>;
  unprepare?: (request: object) => Promise<object>;
  health?: (call: ServedStream) => void;
}
interface Claims {
  readonly claims: ReadonlyArray<{ uid: string; name: string; namespace: string }>;
}
type Answer = (claim: Claims['claims'][number]) => object;

const forEach =
  (answer: Answer) =>
  async (request: object): Promise<object> =>
    await Promise.resolve({
      claims: Object.fromEntries((request as Claims).claims.map((claim) => [claim.uid, answer(claim)])),
    });

const prepared: Answer = (claim) => ({
  devices: [
    {
      requestNames: ['big'],
      poolName: 'pool',
      deviceName: `d-${claim.name}`,
      cdiDeviceIds: [`example.com/gpu=${claim.name}`],
    },
    { requestNames: ['small'], poolName: 'pool', deviceName: 's', cdiDeviceIds: ['example.com/gpu=small'] },
  ],
});

/** A driver on its socket; every call is kept. */
async function driver(
  world: DeviceWorld,
  service: 'v1' | 'v1beta1',
  answers: Answers = {},
): Promise<{ calls: Array<{ verb: string; claims: string[] }>; socket: string; answers: Answers }> {
  const calls: Array<{ verb: string; claims: string[] }> = [];
  const kept =
    (verb: string, answer: () => (request: object) => Promise<object>) =>
    async (request: object): Promise<object> => {
      calls.push({ verb, claims: (request as Claims).claims.map((claim) => claim.name) });
      return await answer()(request);
    };
  const socket = join(world.root, `dra-${service}.sock`);
  const health = answers.health;
  world.own(
    await UnixServer.listen(
      socket,
      [
        {
          definition: serviceDefinition(`dra-${service}`, `k8s.io.kubelet.pkg.apis.dra.${service}.DRAPlugin`),
          methods: {
            nodePrepareResources: kept('prepare', () => answers.prepare ?? forEach(prepared)),
            nodeUnprepareResources: kept('unprepare', () => answers.unprepare ?? forEach(() => ({}))),
          },
        },
        ...(health === undefined
          ? []
          : [
              {
                definition: serviceDefinition('dra-health-v1alpha1', 'v1alpha1.DRAResourceHealth'),
                methods: {},
                streams: { nodeWatchResources: health },
              },
            ]),
      ],
      0o750,
    ),
  );
  return { calls, socket, answers };
}

async function manager(world: DeviceWorld, timeoutMs = 5000): Promise<DraManager> {
  const made = new DraManager(
    { root: world.root, timeoutMs },
    { clock: systemClock, recorder: noRecorder, log: silentLogger, readClaim },
  );
  world.own({ [Symbol.asyncDispose]: async () => await Promise.resolve(made[Symbol.dispose]()) });
  await made.start();
  return made;
}

const readClaim = async (namespace: string, name: string): Promise<ResourceClaim> =>
  await Promise.resolve({
    metadata: { uid: `uid-${name}`, name, namespace },
    status: {
      reservedFor: [{ uid: 'p1' }, { uid: 'p2' }],
      allocation: { devices: { results: [{ driver: driverName }] } },
    },
  });

const info = (socket: string, service = 'v1', id = '1') => ({
  id,
  type: 'DRAPlugin',
  name: driverName,
  endpoint: socket,
  versions: [`${service}.DRAPlugin`, 'v1alpha1.DRAResourceHealth'],
  socketPath: `${socket}-reg`,
});

const pod = (uid: string, ...claims: string[]): ClaimingPod => ({
  metadata: { uid, namespace: 'default', name: uid },
  spec: { resourceClaims: claims.map((claim) => ({ name: `my-${claim}`, resourceClaimName: claim })) },
});
const using = (...claims: Array<{ name: string; request?: string }>) => ({ name: 'main', claims });

async function failureOf(promise: Promise<unknown>): Promise<DraError> {
  const err = await promise.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  );
  if (err instanceof DraError) return err;
  throw err;
}

test.each(['v1', 'v1beta1'] as const)(
  '%s: prepared once in one call, used by containers, given back by the last pod',
  async (service) => {
    await using world = await DeviceWorld.open();
    const dra = await manager(world);
    const { calls, socket } = await driver(world, service);
    await dra.handler.validate(info(socket, service), signal);
    await dra.handler.register(info(socket, service), signal);
    const first = pod('p1', 'a', 'b');
    const second = pod('p2', 'b');
    await dra.prepare(first, signal);
    await dra.prepare(second, signal);
    await dra.prepare(first, signal);
    expect(calls).toEqual([{ verb: 'prepare', claims: ['a', 'b'] }]);

    expect(dra.cdiDevicesOf(first, using({ name: 'my-a', request: 'big' }))).toEqual(['example.com/gpu=a']);
    expect(dra.cdiDevicesOf(first, using({ name: 'my-a' }, { name: 'my-b', request: 'big/alternative' }))).toEqual([
      'example.com/gpu=a',
      'example.com/gpu=small',
      'example.com/gpu=b',
    ]);
    expect(dra.dynamicResourcesOf(second, using({ name: 'my-b' }))).toMatchObject([
      {
        claimName: 'b',
        claimNamespace: 'default',
        claimResources: [{ driverName, poolName: 'pool', deviceName: 'd-b' }, {}],
      },
    ]);
    expect(() => dra.cdiDevicesOf(pod('p3', 'a'), using({ name: 'my-a' }))).toThrow(/was not prepared/);

    await dra.unprepare('p1', signal);
    expect(calls.slice(1)).toEqual([{ verb: 'unprepare', claims: ['a'] }]);
    expect(await dra.retainOnly(new Set(), signal)).toEqual([]);
    expect(calls.slice(2)).toEqual([{ verb: 'unprepare', claims: ['b'] }]);
    await dra.unprepare('p2', signal);
    expect(calls).toHaveLength(3);
    expect(dra.holdsAny('p2')).toBe(false);
  },
);

test('after a crash: the next agent knows the claims, asks the drivers again, and can give them back', async () => {
  await using world = await DeviceWorld.open();
  const first = await manager(world);
  const never = { prepare: (): Promise<never> => new Promise(() => {}) };
  const hanging = await driver(world, 'v1', never);
  await first.handler.register(info(hanging.socket), signal);
  first.prepare(pod('p1', 'a'), signal).catch(() => {});
  await eventually('the driver to be asked', () => hanging.calls.length === 1);

  const second = await manager(world);
  expect(second.holdsAny('p1')).toBe(true);
  expect((await failureOf(second.unprepare('p1', signal))).failure).toEqual({
    code: 'driver-absent',
    driver: driverName,
  });
  await second.handler.register(info(hanging.socket), signal);
  await second.unprepare('p1', signal);
  expect(hanging.calls.at(-1)).toEqual({ verb: 'unprepare', claims: ['a'] });
  expect((await manager(world)).holdsAny('p1')).toBe(false);
});

test('the checkpoint is the kubelet’s, and survives', async () => {
  await using world = await DeviceWorld.open();
  const dra = await manager(world);
  const { socket } = await driver(world, 'v1');
  await dra.handler.register(info(socket), signal);
  await dra.prepare(pod('p1', 'a'), signal);
  const path = join(world.root, 'dra_manager_state');
  const { Data, Checksum } = JSON.parse(await readFile(path, 'utf8')) as { Data: string; Checksum: number };
  expect(Number.isInteger(Checksum)).toBe(true);
  expect(JSON.parse(Data)).toMatchObject({
    kind: 'DRACheckpoint',
    apiVersion: 'checkpoint.dra.kubelet.k8s.io/v1',
    ClaimInfoStateList: [
      {
        ClaimUID: 'uid-a',
        ClaimName: 'a',
        Namespace: 'default',
        PodUIDs: { p1: {} },
        DriverState: { [driverName]: { Devices: [{ PoolName: 'pool', DeviceName: 'd-a', ShareID: null }, {}] } },
      },
    ],
  });
  const next = await manager(world);
  expect(next.cdiDevicesOf(pod('p1', 'a'), using({ name: 'my-a', request: 'big' }))).toEqual(['example.com/gpu=a']);

  await writeFile(path, JSON.stringify({ Data, Checksum: Checksum + 1 }));
  const third = await manager(world);
  expect(third.notes).toEqual([expect.stringContaining('checksum mismatch')]);
  expect((await readdir(world.root)).some((name) => name.startsWith('dra_manager_state.corrupt-'))).toBe(true);
});

test.each<[string, object | Error, string, RegExp]>([
  ['an error for the call', new Error('no fabric'), 'driver-refused', /gpu\.example\.com: no fabric/],
  [
    'an error for one claim',
    { claims: { 'uid-a': { error: 'device is lost' } } },
    'driver-refused',
    /ResourceClaim a: device is lost/,
  ],
  ['a claim left out', { claims: {} }, 'bad-answer', /leaves out ResourceClaim a/],
  ['a claim too many', { claims: { 'uid-a': {}, 'uid-z': {} } }, 'bad-answer', /unknown claim uid-z/],
])('a driver that answers with %s', async (_name, answer, code, words) => {
  await using world = await DeviceWorld.open();
  const dra = await manager(world);
  const { socket, answers } = await driver(world, 'v1', {
    prepare: async () => await (answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)),
  });
  await dra.handler.register(info(socket), signal);
  const err = await failureOf(dra.prepare(pod('p1', 'a'), signal));
  expect(err.failure.code).toBe(code);
  expect(err.message).toMatch(words);
  // Half done counts as held: it is given back when the pod goes, and may be tried again.
  expect(dra.holdsAny('p1')).toBe(true);
  answers.prepare = forEach(prepared);
  await dra.prepare(pod('p1', 'a'), signal);
});

test('a driver that never answers, one that is not there, and one that speaks an old protocol', async () => {
  await using world = await DeviceWorld.open();
  const dra = await manager(world, 200);
  expect((await failureOf(dra.prepare(pod('p1', 'a'), signal))).failure.code).toBe('driver-absent');
  expect(dra.holdsAny('p1')).toBe(false);
  const { socket } = await driver(world, 'v1', { prepare: () => new Promise(() => {}) });
  await expect(dra.handler.validate({ ...info(socket), versions: ['1.0.0'] }, signal)).rejects.toThrow(/needs one of/);
  await dra.handler.register(info(socket), signal);
  await expect(dra.handler.register(info(socket, 'v1', '2'), signal)).rejects.toThrow(/registered already/);
  expect((await failureOf(dra.prepare(pod('p1', 'a'), signal))).failure).toMatchObject({
    code: 'driver-timed-out',
    afterMs: 200,
  });
  await dra.handler.deregister(info(socket));
  expect(dra.drivers).toEqual([]);
});

test('health: told to listeners with the pods, in the container status', async () => {
  await using world = await DeviceWorld.open();
  const dra = await manager(world);
  let stream: ServedStream | undefined;
  const { socket } = await driver(world, 'v1', { health: (call) => (stream = call) });
  await dra.handler.register(info(socket), signal);
  await dra.prepare(pod('p1', 'a'), signal);
  await eventually('the health stream', () => stream !== undefined);
  const container = using({ name: 'my-a', request: 'big' });
  const health = (): unknown => dra.containerHealth(pod('p1', 'a'), container);
  expect(health()).toEqual([
    { name: 'claim:my-a/big', resources: [{ resourceID: 'example.com/gpu=a', health: 'Unknown' }] },
  ]);

  const told: string[][] = [];
  using _listening = dra.subscribe((pods) => told.push([...pods]));
  const device = { poolName: 'pool', deviceName: 'd-a' };
  stream?.write({ devices: [{ device, health: 'UNHEALTHY', message: 'too hot' }] });
  await eventually('the report', () => told.length >= 1);
  expect(told).toEqual([['p1']]);
  expect(health()).toMatchObject([{ resources: [{ health: 'Unhealthy', message: 'too hot' }] }]);
  stream?.write({ devices: [{ device: { poolName: 'pool', deviceName: 'of-nobody' }, health: 'HEALTHY' }] });
  stream?.write({ devices: [{ device, health: 'HEALTHY' }] });
  await eventually('the second report', () => told.length >= 2);
  expect(health()).toMatchObject([{ resources: [{ health: 'Healthy' }] }]);
  // News that is not renewed in the time the driver names is no news.
  stream?.write({ devices: [{ device, health: 'UNHEALTHY', healthCheckTimeoutSeconds: 1 }] });
  await eventually('the third report', () => told.length >= 3);
  await eventually('it grows old', () => told.length >= 4);
  expect(health()).toMatchObject([{ resources: [{ health: 'Unknown' }] }]);
  // A driver that breaks off says nothing of its devices any more.
  stream?.write({ devices: [{ device, health: 'HEALTHY' }] });
  await eventually('the fourth report', () => told.length >= 5);
  stream?.end();
  await eventually('the end', () => told.length >= 6);
  expect(health()).toMatchObject([{ resources: [{ health: 'Unknown' }] }]);
});

test('health outlives the agent in the kubelet’s file, as long as it is no older than the driver allows', async () => {
  await using world = await DeviceWorld.open();
  const path = join(world.root, 'dra_health_state');
  const first = await manager(world);
  let stream: ServedStream | undefined;
  const { socket } = await driver(world, 'v1', { health: (call) => (stream = call) });
  await first.handler.register(info(socket), signal);
  await first.prepare(pod('p1', 'a'), signal);
  await eventually('the health stream', () => stream !== undefined);
  const device = { poolName: 'pool', deviceName: 'd-a' };
  const report = { device, health: 'UNHEALTHY', message: 'too hot', healthCheckTimeoutSeconds: 60 };
  stream?.write({ devices: [report] });
  const text = await eventually('what it said in the file', async () => {
    const written = await readFile(path, 'utf8').catch(() => '');
    return written.includes('too hot') && written;
  });
  const key = { PoolName: 'pool', DeviceName: 'd-a' };
  const known = { ...key, Health: 'Unhealthy', HealthCheckTimeout: 60_000_000_000, Message: 'too hot' };
  expect(JSON.parse(text)).toMatchObject({ [driverName]: { Devices: { 'pool/d-a': known } } });
  first[Symbol.dispose]();

  const container = using({ name: 'my-a', request: 'big' });
  const health = async (): Promise<unknown> => (await manager(world)).containerHealth(pod('p1', 'a'), container);
  expect(await health()).toMatchObject([{ resources: [{ health: 'Unhealthy', message: 'too hot' }] }]);
  // What a kubelet wrote two minutes ago, and what is no such file.
  const old = { ...known, LastUpdated: new Date(Date.now() - 120_000).toISOString().replace('Z', '456789+00:00') };
  await writeFile(path, JSON.stringify({ [driverName]: { Devices: { 'pool/d-a': old } } }));
  expect(await health()).toMatchObject([{ resources: [{ health: 'Unknown' }] }]);
  await writeFile(path, '{"gpu');
  expect(await health()).toMatchObject([{ resources: [{ health: 'Unknown' }] }]);
});

test('a checkpoint that cannot be written: no driver is asked', async () => {
  await using world = await DeviceWorld.open();
  const dra = await manager(world);
  const { socket, calls } = await driver(world, 'v1');
  await dra.handler.register(info(socket), signal);
  // A folder in the way of the file.
  await mkdir(join(world.root, 'dra_manager_state', 'x'), { recursive: true });
  expect((await failureOf(dra.prepare(pod('p1', 'a'), signal))).failure.code).toBe('checkpoint');
  expect(calls).toEqual([]);
});
