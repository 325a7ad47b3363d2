import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../base/run-program.js';
import type { Cni, CniFailure, ConfigState } from '../../cni/index.js';
import { CniWorld } from './cni-world.js';
import { errorOf, failureOf } from './failure-of.js';

const signal = new AbortController().signal;
const pluginDir = '/usr/lib/cni';

/** A plugin that answers VERSION and DEL properly and does `add` on ADD. */
function onAdd(add: string, del = 'exit 0'): string {
  return `case "$CNI_COMMAND" in
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}' ;;
ADD) ${add} ;;
DEL) ${del} ;;
esac`;
}

/** A real bridge, and behind it a plugin of the test: what goes wrong there goes wrong after an address was taken. */
async function bridgeAnd(world: CniWorld, type: string): Promise<void> {
  const bridge = { type: 'bridge', bridge: world.bridge, isGateway: true, ipMasq: true, ipam: world.ipam };
  await world.writeList('10.conflist', { cniVersion: '1.0.0', name: world.network, plugins: [bridge, { type }] });
}

/** Long enough for the real plugin before it. */
const hangMs = 3000;

describe('a plugin that fails after an address was taken', () => {
  const cases: ReadonlyArray<{ name: string; add: string; failure: Partial<CniFailure>; words: string }> = [
    {
      name: 'refuses',
      add: `echo '{"cniVersion":"1.0.0","code":110,"msg":"no more slots","details":"slot table is full"}'; exit 1`,
      failure: {
        code: 'refused',
        verb: 'ADD',
        plugin: 'odd',
        cniCode: 110,
        msg: 'no more slots',
        details: 'slot table is full',
      },
      words: 'no more slots; slot table is full',
    },
    { name: 'prints garbage', add: 'echo "hello world"', failure: { code: 'garbled' }, words: 'hello world' },
    {
      name: 'prints half of a result',
      add: `printf '{"cniVersion":"1.0.0","ips":['`,
      failure: { code: 'garbled' },
      words: '"ips":[',
    },
    {
      name: 'prints a result of wrong types',
      add: `echo '{"cniVersion":"1.0.0","ips":[{"address":7}]}'`,
      failure: { code: 'garbled' },
      words: 'ips[0].address',
    },
    { name: 'prints nothing', add: 'echo oops >&2', failure: { code: 'garbled' }, words: 'oops' },
    {
      name: 'succeeds with an error',
      add: `echo '{"code":7,"msg":"bad"}'`,
      failure: { code: 'garbled' },
      words: 'bad',
    },
    {
      name: 'exits with words on standard error',
      add: 'echo "panic: nil map" >&2; exit 2',
      failure: { code: 'crashed', exitCode: 2 },
      words: 'panic: nil map',
    },
    { name: 'is killed', add: 'kill -9 $$', failure: { code: 'crashed', exitCode: null }, words: 'SIGKILL' },
    {
      name: 'prints without end',
      add: 'exec yes',
      failure: { code: 'crashed', exitCode: null },
      words: 'printed more than',
    },
    {
      name: 'hangs',
      add: 'sleep 60',
      failure: { code: 'timed-out', plugin: 'odd', afterMs: hangMs },
      words: `no end within ${hangMs} ms`,
    },
    {
      name: 'speaks another version',
      add: `echo '{"code":1,"msg":"incompatible CNI versions"}'; exit 1`,
      failure: { code: 'unsupported-version' },
      words: 'incompatible',
    },
  ];
  test.each(cases)('$name: a typed failure in its words, and all is taken back', async ({ add, failure, words }) => {
    await using world = await CniWorld.open(pluginDir);
    await world.writePlugin('odd', onAdd(add));
    await bridgeAnd(world, 'odd');
    // Only a plugin that hangs is to be cut off, not one that is slow on a busy machine.
    await using cni = await world.cni({ timeouts: failure.code === 'timed-out' ? { addMs: hangMs } : {} });
    const netns = await world.netns('a');
    const err = await errorOf(cni.attach({ containerId: world.containerId('a'), netns: netns.path }, signal));
    expect(err.failure).toMatchObject(failure);
    expect(err.message).toContain(words);
    expect(world.verbs().filter((verb) => verb.startsWith('DEL'))).toEqual(['DEL odd', 'DEL bridge']);
    expect(await world.heldAddresses()).toEqual([]);
    expect(await netns.linkNames()).toEqual(['lo']);
    expect(await world.natRules()).toEqual([]);
    expect(cni.attachments()).toEqual([]);
    expect(await world.recordFiles()).toEqual([]);
  });

  test('whose DEL fails too is kept with its reason until the cause is gone', async () => {
    await using world = await CniWorld.open(pluginDir);
    await world.writePlugin('odd', onAdd('exit 3', 'echo still broken >&2; exit 4'));
    await bridgeAnd(world, 'odd');
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    {
      await using cni = await world.cni();
      expect(await failureOf(cni.attach({ containerId, netns: netns.path }, signal))).toMatchObject({
        code: 'crashed',
        verb: 'ADD',
      });
      expect(cni.attachments()).toMatchObject([
        {
          containerId,
          phase: 'removing',
          failures: 1,
          lastError: { reason: expect.stringContaining('still broken') as string },
        },
      ]);
      expect(await world.heldAddresses()).toHaveLength(1);
    }
    // Another run of the agent knows it just as well.
    await using cni = await world.cni();
    expect(await failureOf(cni.detach({ containerId }, signal))).toMatchObject({
      code: 'crashed',
      verb: 'DEL',
      exitCode: 4,
    });
    expect(cni.attachments()).toMatchObject([{ phase: 'removing', failures: 2 }]);
    await world.writePlugin('odd', onAdd('exit 3'));
    await cni.detach({ containerId }, signal);
    expect(cni.attachments()).toEqual([]);
    expect(await world.heldAddresses()).toEqual([]);
    expect(await world.natRules()).toEqual([]);
  });

  test('an abort stops the plugin and takes all back', async () => {
    await using world = await CniWorld.open(pluginDir);
    await world.writePlugin('odd', onAdd(`echo started > ${world.root}/started; sleep 60`));
    await bridgeAnd(world, 'odd');
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const controller = new AbortController();
    world.run = async (program, inner) => {
      if (program.env['CNI_COMMAND'] === 'ADD' && program.argv[0].endsWith('/odd'))
        setTimeout(() => controller.abort(new Error('pod deleted')), 20);
      return await runProgram(program, inner);
    };
    await expect(
      cni.attach({ containerId: world.containerId('a'), netns: netns.path }, controller.signal),
    ).rejects.toThrow('pod deleted');
    expect(await world.heldAddresses()).toEqual([]);
    expect(cni.attachments()).toEqual([]);
  });
});

describe('before anything is taken', () => {
  test('a missing plugin is found out', async () => {
    await using world = await CniWorld.open(pluginDir);
    await bridgeAnd(world, 'not-installed');
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const err = await errorOf(cni.attach({ containerId: world.containerId('a'), netns: netns.path }, signal));
    expect(err.failure).toEqual({ code: 'not-found', plugin: 'not-installed', searched: world.binDirs });
    expect(world.calls).toEqual([]);
    expect(await world.recordFiles()).toEqual([]);
  });

  test('no namespace, no network, names that cannot be', async () => {
    await using world = await CniWorld.open(pluginDir);
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    expect(await failureOf(cni.attach({ containerId, netns: netns.path }, signal))).toMatchObject({
      code: 'no-network',
    });
    expect(await failureOf(cni.attach({ containerId, netns: '/nowhere' }, signal))).toMatchObject({
      code: 'no-namespace',
    });
    expect(await failureOf(cni.attach({ containerId: '../x', netns: netns.path }, signal))).toMatchObject({
      code: 'invalid-request',
      field: 'containerId',
    });
    expect(await failureOf(cni.attach({ containerId, netns: netns.path, ifName: 'a/b' }, signal))).toMatchObject({
      field: 'ifName',
    });
    expect(await failureOf(cni.attach({ containerId, netns: netns.path, args: { A: 'b;C=d' } }, signal))).toMatchObject(
      { field: 'args' },
    );
    await cni.detach({ containerId: 'never-seen' }, signal);
  });

  test('a program without execute bit', async () => {
    await using world = await CniWorld.open(pluginDir);
    await world.writePlugin('odd', 'exit 0', 0o644);
    await world.writeList('10.conflist', { cniVersion: '1.0.0', name: world.network, plugins: [{ type: 'odd' }] });
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const failure = await failureOf(cni.attach({ containerId: world.containerId('a'), netns: netns.path }, signal));
    expect(failure).toEqual({ code: 'not-started', plugin: 'odd', errno: 'EACCES' });
    // Its DEL cannot be run either, so the attachment stays recorded until the program is repaired.
    expect(cni.attachments()).toMatchObject([{ phase: 'removing' }]);
    await rm(join(world.root, 'bin', 'odd'));
    await world.writePlugin('odd', 'exit 0');
    await cni.detach({ containerId: world.containerId('a') }, signal);
  });
});

describe('what plugins are given', () => {
  test('CNI_* and PATH only; capabilities only where declared', async () => {
    await using world = await CniWorld.open();
    await world.writePlugin(
      'echo',
      onAdd(`env > ${world.root}/env; cat > ${world.root}/stdin-$CNI_IFNAME; echo '{"cniVersion":"1.0.0"}'`),
    );
    await world.writeList('10.conflist', {
      cniVersion: '1.0.0',
      name: world.network,
      plugins: [{ type: 'echo', capabilities: { portMappings: true, dns: false }, own: { key: [1] }, 'cni.dev/x': 1 }],
    });
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    const attached = await cni.attach(
      {
        containerId,
        netns: netns.path,
        pod: { namespace: 'ns', name: 'p', uid: 'u' },
        capabilities: {
          portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'TCP', hostIP: '' }],
          dns: { servers: ['1.1.1.1'] },
          bandwidth: {},
        },
      },
      signal,
    );
    expect(attached.unmetCapabilities).toEqual(['dns']);
    const { readFile } = await import('node:fs/promises');
    const names = (await readFile(join(world.root, 'env'), 'utf8')).split('\n').filter((line) => line !== '');
    expect(names.filter((line) => !/^(PWD|SHLVL|_|OLDPWD)=/.test(line)).sort()).toEqual([
      `CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID=${containerId};K8S_POD_UID=u`,
      'CNI_COMMAND=ADD',
      `CNI_CONTAINERID=${containerId}`,
      'CNI_IFNAME=eth0',
      `CNI_NETNS=${netns.path}`,
      `CNI_PATH=${world.binDirs.join(':')}`,
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ]);
    expect(JSON.parse(await readFile(join(world.root, 'stdin-eth0'), 'utf8'))).toEqual({
      cniVersion: '1.0.0',
      name: world.network,
      type: 'echo',
      own: { key: [1] },
      runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }] },
    });
    const call = world.calls.find((c) => c.verb === 'ADD');
    expect(call).toMatchObject({
      interface: 'cni',
      plugin: 'echo',
      subject: { podUid: 'u', podNamespace: 'ns', podName: 'p', object: containerId },
    });
    await cni.detach({ containerId }, signal);
  });
});

describe('configuration folder', () => {
  /** Resolves when the state is as wanted; events arrive when the kernel says so. */
  async function stateOf(cni: Cni, wanted: (state: ConfigState) => boolean): Promise<ConfigState> {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`state is still ${JSON.stringify(cni.configuration)}`)), 60_000);
      const look = (): void => {
        if (!wanted(cni.configuration)) return;
        clearTimeout(timer);
        stop();
        resolve(cni.configuration);
      };
      const stop = cni.onChange(look);
      look();
    });
  }

  test('follows files, broken files, a folder that comes, goes and comes back', async () => {
    await using world = await CniWorld.open();
    const confDir = join(world.root, 'etc', 'cni', 'net.d');
    await using cni = await world.cni({ confDir });
    expect(cni.configuration).toEqual({ kind: 'none', reason: `no network configuration in ${confDir}` });
    const { mkdir } = await import('node:fs/promises');
    await mkdir(confDir, { recursive: true });
    const list = (name: string): string => JSON.stringify({ cniVersion: '1.0.0', name, plugins: [{ type: 'x' }] });
    await writeFile(join(confDir, '20-b.conflist'), list('b'));
    expect(await stateOf(cni, (s) => s.kind === 'ready')).toMatchObject({ defaultNetwork: 'b', problems: [] });
    await writeFile(join(confDir, '10-a.conflist'), '{ "name": "a", ');
    const withProblem = await stateOf(cni, (s) => s.kind === 'ready' && s.problems.length === 1);
    expect(withProblem).toMatchObject({
      defaultNetwork: 'b',
      problems: [{ file: join(confDir, '10-a.conflist'), reason: expect.stringContaining('not JSON') as string }],
    });
    await writeFile(join(confDir, '10-a.conflist'), list('a'));
    expect(await stateOf(cni, (s) => s.kind === 'ready' && s.problems.length === 0)).toMatchObject({
      defaultNetwork: 'a',
    });
    await rm(join(world.root, 'etc'), { recursive: true });
    await stateOf(cni, (s) => s.kind === 'none');
    await mkdir(confDir, { recursive: true });
    await writeFile(join(confDir, '30-c.json'), JSON.stringify({ cniVersion: '0.3.1', name: 'c', type: 'x' }));
    expect(await stateOf(cni, (s) => s.kind === 'ready')).toMatchObject({ defaultNetwork: 'c' });
    await writeFile(join(confDir, '30-c.json'), '[]');
    expect(await stateOf(cni, (s) => s.kind === 'broken')).toMatchObject({
      reason: expect.stringContaining('expected an object, found a list') as string,
    });
  });

  test('plugins of the folder named after the network are appended, and watched', async () => {
    await using world = await CniWorld.open();
    await world.writeList('10.conflist', { cniVersion: '1.1.0', name: 'main', plugins: [{ type: 'first' }] });
    await using cni = await world.cni();
    const { mkdir } = await import('node:fs/promises');
    await mkdir(join(world.confDir, 'main'));
    await writeFile(join(world.confDir, 'main', '10.conf'), JSON.stringify({ type: 'second' }));
    const plugins = (s: ConfigState): readonly string[] => (s.kind === 'ready' ? (s.networks[0]?.plugins ?? []) : []);
    expect(plugins(await stateOf(cni, (s) => plugins(s).length === 2))).toEqual(['first', 'second']);
    await writeFile(join(world.confDir, 'main', '10.conf'), JSON.stringify({ type: 'other' }));
    expect(plugins(await stateOf(cni, (s) => plugins(s).includes('other')))).toEqual(['first', 'other']);
  });
});

test('gc waits for attaches under way, keeps out new ones, and does not touch networks never used from here', async () => {
  await using world = await CniWorld.open(pluginDir);
  await world.writeBridge();
  await world.writeList('20-foreign.conflist', {
    cniVersion: '1.0.0',
    name: 'foreign',
    plugins: [{ type: 'foreign' }],
  });
  await using cni = await world.cni();
  const netns = await world.netns('a');
  const containerId = world.containerId('a');
  let phases: string[] = [];
  await Promise.all([
    cni.attach({ containerId, netns: netns.path }, signal),
    cni.gc(() => {
      phases = cni.attachments().map((attachment) => attachment.phase);
      return cni.attachments();
    }, signal),
    cni.detach({ containerId }, signal),
  ]);
  expect(phases).toEqual(['attached']);
  expect(world.verbs().filter((verb) => verb.includes('foreign'))).toEqual([]);
});

test('an unreadable record is set aside, and its attachment can still be removed', async () => {
  await using world = await CniWorld.open(pluginDir);
  await world.writeBridge();
  const netns = await world.netns('a');
  const containerId = world.containerId('a');
  {
    await using cni = await world.cni();
    await cni.attach({ containerId, netns: netns.path }, signal);
  }
  const [file = ''] = await world.recordFiles();
  await writeFile(join(world.cacheDir, 'attachments', file), '\0\0\0\0');
  {
    await using cni = await world.cni();
    expect(cni.attachments()).toMatchObject([
      {
        containerId,
        ifName: 'eth0',
        phase: 'lost',
        lastError: { reason: expect.stringContaining('unreadable') as string },
      },
    ]);
  }
  await using cni = await world.cni();
  expect(cni.attachments()).toMatchObject([{ containerId, phase: 'lost' }]);
  await cni.detach({ containerId }, signal);
  expect(await world.heldAddresses()).toEqual([]);
  expect(await world.natRules()).toEqual([]);
  expect(await world.recordFiles()).toEqual([expect.stringContaining('.corrupt-')]);
});
