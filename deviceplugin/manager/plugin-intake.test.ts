import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { WireServices } from '../../proto/wire/index.js';
import { defaultTimeouts } from '../plugin/plugin-calls.js';
import { StatusError, UnixServer } from '../wire/unix-server.js';
import { PluginIntake } from './plugin-intake.js';
import { Resources } from './resources.js';

const resource = 'example.com/card';
const internal = 13;
const services = new WireServices();

/** A device plugin that leaves the agent waiting until it is told how to answer. */
class Undecided implements AsyncDisposable {
  readonly name: string;
  readonly registered: Promise<'taken' | 'refused'>;
  readonly #server: UnixServer;
  readonly #answer: (how: 'fine' | 'fails') => void;

  private constructor(
    name: string,
    server: UnixServer,
    answer: (how: 'fine' | 'fails') => void,
    registered: Promise<'taken' | 'refused'>,
  ) {
    this.name = name;
    this.#server = server;
    this.#answer = answer;
    this.registered = registered;
  }

  /** Resolves when the agent waits for it. */
  static async register(name: string, dir: string, intake: PluginIntake): Promise<Undecided> {
    const endpoint = join(dir, `${name}.sock`);
    let answer = (_how: 'fine' | 'fails'): void => {};
    let asked = (): void => {};
    const isAsked = new Promise<void>((resolve) => (asked = resolve));
    const decided = new Promise<'fine' | 'fails'>((resolve) => (answer = resolve));
    const { service: definition } = await services.load('deviceplugin-v1beta1', 'v1beta1.DevicePlugin');
    const getDevicePluginOptions = async (): Promise<object> => {
      asked();
      if ((await decided) === 'fails') throw new StatusError(internal, 'the card is on fire');
      return {};
    };
    const streams = {
      listAndWatch: (call: { write(message: object): void }) =>
        call.write({ devices: [{ ID: name, health: 'Healthy' }] }),
    };
    const server = await UnixServer.listen(
      endpoint,
      [{ definition, methods: { getDevicePluginOptions }, streams }],
      0o750,
    );
    const plugin = {
      id: name,
      type: 'DevicePlugin',
      name: resource,
      endpoint,
      versions: ['v1beta1'],
      socketPath: endpoint,
    };
    const registered = intake.handler.register(plugin, new AbortController().signal).then(
      () => 'taken' as const,
      () => 'refused' as const,
    );
    await isAsked;
    return new Undecided(name, server, answer, registered);
  }

  async says(how: 'fine' | 'fails'): Promise<'taken' | 'refused'> {
    this.#answer(how);
    return await this.registered;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

let dir: string;
let resources: Resources;
let intake: PluginIntake;
let plugins: Undecided[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-intake-'));
  const deps = { clock: systemClock, log: silentLogger };
  resources = new Resources({ graceMs: 60_000 }, { ...deps, onChange: () => {} });
  intake = new PluginIntake(
    { folder: dir, timeouts: defaultTimeouts, graceMs: 60_000, retryMs: 1000, poolResources: new Set() },
    { ...deps, recorder: noRecorder, resources, services, onRemembered: () => {} },
  );
  plugins = [];
  for (const name of ['first', 'second', 'third']) plugins.push(await Undecided.register(name, dir, intake));
});
afterEach(async () => {
  await intake[Symbol.asyncDispose]();
  await resources[Symbol.asyncDispose]();
  for (const plugin of plugins) await plugin[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

const orders = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];
const answers = ['fine', 'fails'] as const;
const cases = orders.flatMap((order) =>
  answers.flatMap((a) => answers.flatMap((b) => answers.map((c) => ({ order, hows: [a, b, c] })))),
);

test.each(cases)(
  'of registrations that end as $hows, in the order $order, the newest that succeeded is used',
  async (each) => {
    let newest = -1;
    for (const index of each.order) {
      const how = each.hows[index] ?? 'fails';
      const outcome = await plugins[index]?.says(how);
      expect(outcome).toBe(how === 'fine' && index > newest ? 'taken' : 'refused');
      if (outcome === 'taken') newest = index;
      const used = resources.get(resource)?.endpoint?.socketPath;
      expect(used).toBe(newest < 0 ? undefined : join(dir, `${plugins[newest]?.name}.sock`));
    }
  },
);
