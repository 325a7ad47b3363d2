import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import type { PluginInfo, RegistrationStatus } from '../../proto/generated/pluginregistration-v1.js';
import { loadService } from '../../proto/load.js';
import type { PluginHandler, PluginRegistration } from './plugin-handler.js';
import { PluginWatcher } from './plugin-watcher.js';

let folder: string;
let watcher: PluginWatcher;
let plugins: FakePlugin[];
/** What the handler holds now, by name, and everything it was told. */
let used: Map<string, PluginRegistration>;
let told: string[];
let refuse: string | undefined;

const handler: PluginHandler = {
  async validate(plugin) {
    if (plugin.versions.length === 0) throw new Error('no versions');
  },
  async register(plugin) {
    if (refuse !== undefined) throw new Error(refuse);
    if (used.has(plugin.name)) throw new Error('the name is taken');
    told.push(`register ${plugin.name}`);
    used.set(plugin.name, plugin);
  },
  async deregister(plugin) {
    told.push(`deregister ${plugin.name}`);
    if (used.get(plugin.name)?.id === plugin.id) used.delete(plugin.name);
  },
};

/** The registration server of a plugin. */
class FakePlugin {
  readonly path: string;
  readonly statuses: RegistrationStatus[] = [];
  readonly #info: PluginInfo;
  #server: Server | undefined;

  constructor(file: string, info: Partial<PluginInfo> = {}) {
    this.path = join(folder, file);
    this.#info = {
      type: 'CSIPlugin',
      name: 'a.example.com',
      endpoint: '/csi.sock',
      supportedVersions: ['1.0.0'],
      ...info,
    };
    plugins.push(this);
  }

  async start(): Promise<this> {
    this.#server = new Server();
    this.#server.addService(loadService('pluginregistration-v1', 'pluginregistration.Registration').service, {
      getInfo: (_call: unknown, reply: (err: null, info: PluginInfo) => void) => reply(null, this.#info),
      notifyRegistrationStatus: (call: { request: RegistrationStatus }, reply: (err: null, value: object) => void) => {
        this.statuses.push(call.request);
        reply(null, {});
      },
    });
    await new Promise<void>((resolve, reject) =>
      this.#server?.bindAsync(`unix:${this.path}`, ServerCredentials.createInsecure(), (err) =>
        err ? reject(err) : resolve(),
      ),
    );
    return this;
  }

  /** As a process that ends: the socket goes with it. */
  async stop(): Promise<void> {
    this.#server?.forceShutdown();
    await rm(this.path, { force: true });
  }
}

const kinds = (): string[] => watcher.list().map((status) => status.state.kind);
const soon = { timeout: 20_000, interval: 10 };

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'berth-reg-')), 'plugins_registry');
  plugins = [];
  used = new Map();
  told = [];
  refuse = undefined;
  watcher = new PluginWatcher(
    { folder, retry: { firstMs: 50, longestMs: 60_000 } },
    { handlers: { CSIPlugin: handler }, recorder: noRecorder, clock: systemClock, log: silentLogger },
  );
  await watcher.start();
});
afterEach(async () => {
  await watcher[Symbol.asyncDispose]();
  await Promise.all(plugins.map((plugin) => plugin.stop()));
  await rm(join(folder, '..'), { recursive: true });
});

test('registers what is there and what comes, tells the plugin, and deregisters what goes', async () => {
  const plugin = await new FakePlugin('a.sock').start();
  await vi.waitFor(() => expect(kinds()).toEqual(['registered']), soon);
  expect(plugin.statuses).toEqual([{ pluginRegistered: true, error: '' }]);
  expect(used.get('a.example.com')).toMatchObject({
    endpoint: '/csi.sock',
    versions: ['1.0.0'],
    socketPath: plugin.path,
  });
  await plugin.stop();
  await vi.waitFor(() => expect(told).toEqual(['register a.example.com', 'deregister a.example.com']), soon);
  expect(watcher.list()).toEqual([]);
});

test('a socket that is made anew is another registration, in order', async () => {
  const plugin = await new FakePlugin('a.sock').start();
  await vi.waitFor(() => expect(kinds()).toEqual(['registered']), soon);
  const before = used.get('a.example.com')?.id;
  await plugin.stop();
  await plugin.start();
  await vi.waitFor(() => expect(plugin.statuses.length).toBe(2), soon);
  expect(told).toEqual(['register a.example.com', 'deregister a.example.com', 'register a.example.com']);
  expect(used.get('a.example.com')?.id).not.toBe(before);
});

test('looks into folders, and skips names with a dot and what is no socket', async () => {
  await mkdir(join(folder, 'deep', 'er'), { recursive: true });
  await mkdir(join(folder, '.hidden'));
  await writeFile(join(folder, 'file.sock'), '');
  await new FakePlugin('.a.sock').start();
  await new FakePlugin('.hidden/a.sock').start();
  await new FakePlugin('deep/er/b.sock', { name: 'b', endpoint: '' }).start();
  await vi.waitFor(() => expect([...used.keys()]).toEqual(['b']), soon);
  expect(used.get('b')?.endpoint).toBe(join(folder, 'deep/er/b.sock'));
  expect(watcher.list().length).toBe(1);
});

test('what cannot be registered is told why, listed with the reason, and tried again', async () => {
  refuse = 'the node is full';
  const plugin = await new FakePlugin('a.sock').start();
  await vi.waitFor(() => expect(plugin.statuses.length).toBeGreaterThan(1), soon);
  expect(plugin.statuses[0]).toEqual({
    pluginRegistered: false,
    error: 'plugin registration failed with err: the node is full',
  });
  await vi.waitFor(() => expect(kinds()).toEqual(['failed']), soon);
  expect(watcher.list()[0]?.state).toMatchObject({
    code: 'refused',
    reason: expect.stringContaining('the node is full') as unknown,
    plugin: { name: 'a.example.com' },
  });
  refuse = undefined;
  watcher.retryNow();
  await vi.waitFor(() => expect(kinds()).toEqual(['registered']), soon);
});

test.each<[string, Partial<PluginInfo>, string, string]>([
  ['an unknown type', { type: 'Toaster' }, 'no-handler', 'no handler registered for plugin type: Toaster'],
  ['a type nobody here handles', { type: 'DRAPlugin' }, 'no-handler', 'DRAPlugin'],
  ['no name', { name: '' }, 'malformed', 'no name'],
  ['no versions', { supportedVersions: [] }, 'refused', 'no versions'],
])('%s', async (_what, info, code, reason) => {
  const plugin = await new FakePlugin('a.sock', info).start();
  await vi.waitFor(() => expect(kinds()).toEqual(['failed']), soon);
  expect(watcher.list()[0]?.state).toMatchObject({ code, reason: expect.stringContaining(reason) as unknown });
  expect(plugin.statuses[0]).toMatchObject({
    pluginRegistered: false,
    error: expect.stringContaining(reason) as unknown,
  });
});

test('a socket nobody listens on is unreachable at once, and others do not wait for it', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(folder, 'z.sock'), resolve));
  // Closing would remove the socket; a process that is killed leaves it.
  await rename(join(folder, 'z.sock'), join(folder, 'stale.sock'));
  await new Promise((resolve) => server.close(resolve));
  await new FakePlugin('a.sock').start();
  await vi.waitFor(() => expect(kinds().sort()).toEqual(['failed', 'registered']), soon);
  const stale = watcher.list().find((status) => status.state.kind === 'failed');
  expect(stale?.state).toMatchObject({
    code: 'unreachable',
    reason: expect.stringContaining('nobody listens') as unknown,
  });
});

test('a second socket of the same name waits, and takes over when the first one goes', async () => {
  const first = await new FakePlugin('one.sock').start();
  await vi.waitFor(() => expect(kinds()).toEqual(['registered']), soon);
  const second = await new FakePlugin('two.sock').start();
  await vi.waitFor(() => expect(kinds().sort()).toEqual(['failed', 'registered']), soon);
  await first.stop();
  await vi.waitFor(() => expect(used.get('a.example.com')?.socketPath).toBe(second.path), soon);
  await vi.waitFor(() => expect(kinds()).toEqual(['registered']), soon);
});

test('an agent that stops leaves the plugins registered', async () => {
  await new FakePlugin('a.sock').start();
  await vi.waitFor(() => expect(kinds()).toEqual(['registered']), soon);
  await watcher[Symbol.asyncDispose]();
  expect(told).toEqual(['register a.example.com']);
});

test('the folder may be removed and made again', async () => {
  await rm(folder, { recursive: true });
  await vi.waitFor(async () => await new FakePlugin('a.sock').start(), soon);
  await vi.waitFor(() => expect(kinds()).toEqual(['registered']), soon);
});
