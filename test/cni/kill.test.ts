import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CniError, type Attached, type AttachRequest, type Cni } from '../../cni/index.js';
import { hostProgram, tryHostProgram } from '../support/host-program.js';
import { mappedPort } from '../support/mapped-port.js';
import type { TempNetns } from '../support/temp-netns.js';
import { CniWorld, pluginSets } from './cni-world.js';

const signal = new AbortController().signal;
const repository = resolve(import.meta.dirname, '../..');
let built = '';

/** The child runs what users run: compiled files. */
beforeAll(async () => {
  built = await mkdtemp(join(tmpdir(), 'berth-cni-built-'));
  await writeFile(join(built, 'package.json'), '{"type":"module"}');
  const sources = ['cni/index.ts', 'base/run-program.ts', 'base/call-recorder.ts', 'base/log.ts', 'base/clock.ts'];
  await writeFile(
    join(built, 'tsconfig.json'),
    JSON.stringify({
      extends: join(repository, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        incremental: false,
        rootDir: repository,
        outDir: built,
        typeRoots: [join(repository, 'node_modules/@types')],
      },
      include: [],
      files: sources.map((file) => join(repository, file)),
    }),
  );
  await hostProgram(
    [process.execPath, join(repository, 'node_modules/typescript/bin/tsc'), '-p', join(built, 'tsconfig.json')],
    110_000,
  );
});

afterAll(async () => {
  await rm(built, { recursive: true, force: true });
});

const steps = {
  attach: [
    'before ADD bridge',
    'during ADD bridge',
    'after ADD bridge',
    'before ADD portmap',
    'during ADD portmap',
    'after ADD portmap',
    'before ADD firewall',
    'during ADD firewall',
    'after ADD firewall',
    'attached',
  ],
  detach: [
    'before DEL firewall',
    'during DEL firewall',
    'after DEL firewall',
    'before DEL portmap',
    'during DEL portmap',
    'after DEL portmap',
    'before DEL bridge',
    'during DEL bridge',
    'after DEL bridge',
    'detached',
  ],
};

describe.each(pluginSets())('killed with -9, $name', ({ dir }) => {
  test.each([...steps.attach, ...steps.detach])('%s: the next start knows what to remove', async (step) => {
    await using world = await CniWorld.open(dir);
    const netns = await killAt(world, step);
    await using cni = await world.cni();
    expect(cni.attachments()).toHaveLength(step === 'detached' ? 0 : 1);
    expect((await cni.gc(() => [], signal)).failures).toEqual([]);
    await expectNothing(world, netns);
  });

  test.each([
    'during ADD bridge',
    'after ADD bridge',
    'during ADD firewall',
    'attached',
    'during DEL portmap',
    'after DEL bridge',
  ])('%s: attaching again gives one working address', async (step) => {
    await using world = await CniWorld.open(dir);
    const netns = await killAt(world, step);
    await using cni = await world.cni();
    const containerId = world.containerId('a');
    const attached = await attachAsAgent(cni, { containerId, netns: netns.path });
    expect(await world.heldAddresses()).toEqual(attached.addresses);
    expect(await netns.addresses('eth0')).toEqual(attached.addresses.map((address) => `${address}/24`));
    await cni.detach({ containerId }, signal);
    await expectNothing(world, netns);
  });

  test.each(['after ADD bridge', 'during ADD firewall', 'after ADD firewall', 'attached', 'after DEL portmap'])(
    '%s, and the namespace goes with it: nothing stays',
    async (step) => {
      await using world = await CniWorld.open(dir);
      const netns = await killAt(world, step);
      await netns.remove();
      await using cni = await world.cni();
      await cni.detach({ containerId: world.containerId('a') }, signal);
      await expectNothing(world);
    },
  );
});

test('a plugin that outlives its killed caller is ended before its work is undone', async () => {
  await using world = await CniWorld.open('/usr/lib/cni');
  const started = join(world.root, 'started');
  const kills = `echo $$ > ${started}; kill -KILL $PPID; exec sleep 120`;
  await world.writePlugin('firewall', `[ "$CNI_COMMAND" = ADD ] || exit 0; ${kills}`);
  await killAt(world, 'by the plugin itself');
  const pid = (await readFile(started, 'utf8')).trim();
  expect(await alive(pid)).toBe(true);
  await using cni = await world.cni();
  expect(await alive(pid)).toBe(false);
  await cni.gc(() => [], signal);
  expect(cni.attachments()).toEqual([]);
});

/**
 * A second try after a refusal, as the pod loop makes: a bridge that lost its last port with the interrupted ADD has no address of
 * its own for a moment, and the plugin trips over it.
 */
async function attachAsAgent(cni: Cni, request: AttachRequest): Promise<Attached> {
  return await cni.attach(request, signal).catch(async (err: unknown) => {
    if (!(err instanceof CniError) || err.failure.code !== 'refused') throw err;
    return await cni.attach(request, signal);
  });
}

/** A zombie that nobody fetched yet does nothing any more. */
async function alive(pid: string): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}

/** Runs a child that dies at the step. */
async function killAt(world: CniWorld, step: string): Promise<TempNetns> {
  await world.writeBridge({ firewall: true });
  const netns = await world.netns('a');
  const request = {
    containerId: world.containerId('a'),
    netns: netns.path,
    capabilities: {
      portMappings: [{ hostPort: mappedPort(), containerPort: 80, protocol: 'tcp' }],
    },
  };
  const { confDir, binDirs, cacheDir } = world;
  const input = JSON.stringify({
    options: { confDir, binDirs, cacheDir },
    request,
    detach: !steps.attach.includes(step),
    step,
  });
  const script = join(import.meta.dirname, 'fixtures/attach-and-die.mjs');
  const result = await tryHostProgram([process.execPath, script, built, input], 60_000);
  if (result.end.kind !== 'signalled' || result.end.signal !== 'SIGKILL') {
    throw new Error(
      `the child was to die at "${step}": ${JSON.stringify(result.end)} ${result.stdout.toString('utf8')} ${result.stderr}`,
    );
  }
  return netns;
}

async function expectNothing(world: CniWorld, netns?: TempNetns): Promise<void> {
  if (netns !== undefined) expect(await netns.linkNames()).toEqual(['lo']);
  expect(await world.natRules()).toEqual([]);
  expect(await world.heldAddresses()).toEqual([]);
  expect(await world.recordFiles()).toEqual([]);
}
