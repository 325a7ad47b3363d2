import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CallOutcome, CallRecorder, PluginCall } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import type { ProgramEnd, RunProgram } from '../../base/run-program.js';
import { FlexVolumeDriver } from './flexvolume-driver.js';
import { FlexVolumeError } from './failure.js';

/** A driver program that is a table: what it prints, and how it ends. */
type Behaviour = { readonly stdout?: string; readonly stderr?: string; readonly end?: ProgramEnd };

let folder: string;
let program: string;
let calls: string[][];
let recorded: Array<{ call: PluginCall; outcome: CallOutcome }>;
let behaviour: Record<string, Behaviour>;
const signal = new AbortController().signal;
const volume = { volumeName: 'v', readOnly: false };
const pod = { name: 'p', namespace: 'ns', uid: 'u', serviceAccountName: 'default' };

const run: RunProgram = async (options) => {
  const [, verb = '', ...args] = options.argv;
  calls.push([verb, ...args]);
  const { stdout = '{"status":"Success"}', stderr = '', end = { kind: 'exited', code: 0 } } = behaviour[verb] ?? {};
  return { argv: options.argv, end, stdout: Buffer.from(stdout), stderr, fd3: Buffer.alloc(0), durationMs: 1 };
};

const recorder: CallRecorder = {
  begin: (call) => (outcome) => {
    recorded.push({ call, outcome });
  },
};

function driver(): FlexVolumeDriver {
  return new FlexVolumeDriver(
    { name: 'example.com/lvm', program, env: {} },
    { runProgram: run, recorder, clock: systemClock },
  );
}

async function failureOf(promise: Promise<unknown>): Promise<FlexVolumeError> {
  const err = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(err instanceof FlexVolumeError)) throw new Error(`expected a FlexVolumeError, got ${String(err)}`);
  return err;
}

const verbs = (): string[] => calls.map(([verb]) => verb ?? '');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-flex-'));
  program = join(folder, 'lvm');
  calls = [];
  recorded = [];
  behaviour = {};
  await writeFile(program, 'one', { mode: 0o755 });
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

test('asks init once, however many call at the same time', async () => {
  const flex = driver();
  await Promise.all([1, 2, 3].map(() => flex.unmount('/m', {}, signal)));
  expect(verbs()).toEqual(['init', 'unmount', 'unmount', 'unmount']);
  expect(flex.status.state.kind).toBe('ready');
});

test('the arguments of every verb are in the order of the protocol', async () => {
  const flex = driver();
  const json = '{"kubernetes.io/fsType":"","kubernetes.io/pvOrVolumeName":"v","kubernetes.io/readwrite":"rw"}';
  await flex.getVolumeName(volume, {}, signal);
  await flex.attach(volume, 'node', {}, signal);
  await flex.waitForAttach('/dev/x', volume, {}, signal);
  await flex.isAttached(volume, 'node', {}, signal);
  await flex.mountDevice('/global', '/dev/x', volume, {}, signal);
  await flex.unmount('/pod', {}, signal);
  await flex.unmountDevice('/global', {}, signal);
  await flex.detach('v', 'node', {}, signal);
  await flex.expandVolume(volume, '/global', 2, 1, {}, signal);
  await flex.expandFs(volume, '/dev/x', '/global', 2, 1, {}, signal);
  expect(calls).toEqual([
    ['init'],
    ['getvolumename', json],
    ['attach', json, 'node'],
    ['waitforattach', '/dev/x', json],
    ['isattached', json, 'node'],
    ['mountdevice', '/global', '/dev/x', json],
    ['unmount', '/pod'],
    ['unmountdevice', '/global'],
    ['detach', 'v', 'node'],
    ['expandvolume', json, '/global', '2', '1'],
    ['expandfs', json, '/dev/x', '/global', '2', '1'],
  ]);
});

test('"Not supported" is remembered per verb, has the default of the kubelet, and is forgotten with the program', async () => {
  const no = { stdout: '{"status":"Not supported"}', end: { kind: 'exited', code: 1 } } as const;
  behaviour = { attach: no, waitforattach: no, isattached: no, detach: no, mount: no, getvolumename: no };
  const flex = driver();
  for (let i = 0; i < 2; i++) {
    expect(await flex.attach(volume, 'n', {}, signal)).toEqual({ device: '' });
    expect(await flex.waitForAttach('/dev/x', volume, {}, signal)).toEqual({ device: '/dev/x' });
    expect(await flex.isAttached(volume, 'n', {}, signal)).toBeUndefined();
    await flex.detach('v', 'n', {}, signal);
    expect(await flex.mount('/m', { ...volume, pod }, {}, signal)).toBe('not-supported');
    expect(await flex.getVolumeName(volume, {}, signal)).toBe('v');
  }
  expect(verbs()).toEqual(['init', 'attach', 'waitforattach', 'isattached', 'detach', 'mount', 'getvolumename']);
  expect(flex.status.notSupported).toContain('mount');

  await writeFile(program, 'another one');
  behaviour = {};
  calls = [];
  expect(await flex.mount('/m', { ...volume, pod }, {}, signal)).toBe('done');
  expect(verbs()).toEqual(['init', 'mount']);
  expect(flex.status.notSupported).toEqual([]);
});

test.each<[string, Behaviour, object, string]>([
  [
    'failed',
    { stdout: '{"status":"Failure","message":"no disk"}', end: { kind: 'exited', code: 1 } },
    { code: 'failed', certainty: 'final' },
    'no disk',
  ],
  ['failed with exit 0', { stdout: '{"status":"Failure","message":"no disk"}' }, { code: 'failed' }, 'no disk'],
  ['silent', { stdout: '' }, { code: 'garbled', certainty: 'uncertain' }, 'printed nothing'],
  ['garbage', { stdout: 'hello', stderr: 'trace' }, { code: 'garbled' }, 'hello; on standard error: trace'],
  [
    'crash',
    { stdout: '', stderr: 'panic: nil', end: { kind: 'exited', code: 2 } },
    { code: 'crashed', exitCode: 2, certainty: 'uncertain' },
    'panic: nil',
  ],
  [
    'success but exit 3',
    { end: { kind: 'exited', code: 3 } },
    { code: 'crashed', exitCode: 3 },
    'answered Success but exited with 3',
  ],
  ['killed', { end: { kind: 'signalled', signal: 'SIGKILL' } }, { code: 'crashed', exitCode: null }, 'SIGKILL'],
  [
    'hang',
    { end: { kind: 'timed-out', afterMs: 5 } },
    { code: 'timed-out', afterMs: 5, certainty: 'uncertain' },
    'no end within 5 ms',
  ],
  [
    'flood',
    { end: { kind: 'output-too-large', limitBytes: 9 } },
    { code: 'output-too-large', certainty: 'uncertain' },
    '9 bytes',
  ],
  [
    'no interpreter',
    { end: { kind: 'not-started', errno: 'ENOENT' } },
    { code: 'not-installed', certainty: 'final' },
    'interpreter',
  ],
])('%s is a typed failure with the words of the driver', async (_name, mount, failure, words) => {
  behaviour = { mount };
  const err = await failureOf(driver().mount('/m', { ...volume, pod }, {}, signal));
  expect(err.failure).toMatchObject({ driver: 'example.com/lvm', verb: 'mount', ...failure });
  expect(err.message).toContain(words);
});

test('an answer on standard error counts, for the kubelet reads both streams', async () => {
  behaviour = { attach: { stdout: '', stderr: '{"status":"Success","device":"/dev/y"}' } };
  expect(await driver().attach(volume, 'n', {}, signal)).toEqual({ device: '/dev/y' });
});

test('a driver that is not there: not-installed, and used when it appears', async () => {
  await rm(program);
  const flex = driver();
  const err = await failureOf(flex.unmount('/m', {}, signal));
  expect(err.failure).toMatchObject({ code: 'not-installed', verb: 'unmount' });
  expect(flex.status.state.kind).toBe('missing');
  await writeFile(program, '', { mode: 0o644 });
  expect((await failureOf(flex.unmount('/m', {}, signal))).message).toContain('not executable');
  await rm(program);
  await writeFile(program, '', { mode: 0o755 });
  expect(await flex.unmount('/m', {}, signal)).toBe('done');
});

test('an init that fails is the failure of the call, and is tried again with the next', async () => {
  behaviour = { init: { stdout: '{"status":"Failure","message":"no kernel module"}' } };
  const flex = driver();
  expect((await failureOf(flex.mount('/m', { ...volume, pod }, {}, signal))).failure).toMatchObject({ verb: 'init' });
  expect(flex.status.state).toMatchObject({ kind: 'failed', code: 'failed' });
  behaviour = {};
  expect(await flex.mount('/m', { ...volume, pod }, {}, signal)).toBe('done');
});

test('no secret reaches the record or the error, even when the driver prints its arguments', async () => {
  const secrets = { password: 'correct horse' };
  const encoded = Buffer.from(secrets.password).toString('base64');
  behaviour = {
    mount: { stdout: '', stderr: `+ mount /m ${encoded} 'correct horse'`, end: { kind: 'exited', code: 1 } },
  };
  const err = await failureOf(driver().mount('/m', { ...volume, pod, secrets }, { podUid: 'u' }, signal));
  const text = JSON.stringify(recorded) + err.message;
  expect(calls.flat().join(' ')).toContain(encoded);
  expect(text).toContain('***');
  expect(text).not.toContain(encoded);
  expect(text).not.toContain('correct horse');
  expect(recorded.at(-1)).toMatchObject({
    call: { interface: 'flexvolume', plugin: 'example.com/lvm', verb: 'mount', subject: { podUid: 'u' } },
    outcome: { error: { code: 'crashed' } },
  });
});

test('a program that is still being written is waited for', async () => {
  let busy = 2;
  const flex = new FlexVolumeDriver(
    { name: 'lvm', program, env: {} },
    {
      recorder,
      clock: { ...systemClock, sleep: async () => {} },
      runProgram: async (options, signal) => {
        const result = await run(options, signal);
        return busy-- > 0 ? { ...result, end: { kind: 'not-started', errno: 'ETXTBSY' } } : result;
      },
    },
  );
  expect(await flex.unmount('/m', {}, signal)).toBe('done');
});
