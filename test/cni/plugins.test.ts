import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hostProgram, tryHostProgram } from '../support/host-program.js';
import { mappedPort } from '../support/mapped-port.js';
import { CniWorld, pluginSets } from './cni-world.js';
import { failureOf } from './failure-of.js';

const signal = new AbortController().signal;
const pod = { namespace: 'default', name: 'web', uid: '0f3c' };

describe.each(pluginSets())('real plugins: $name', ({ dir, spec }) => {
  test('bridge, host-local and portmap: address, gateway, host port; DEL leaves nothing and may be repeated', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    const hostPort = mappedPort();

    const portMappings = [
      { hostPort, containerPort: 80, protocol: 'TCP' },
      { hostPort: 0, containerPort: 81, protocol: 'TCP' },
    ];
    const attached = await cni.attach({ containerId, netns: netns.path, pod, capabilities: { portMappings } }, signal);
    expect(attached.version).toBe(spec);
    expect(attached.unmetCapabilities).toEqual([]);
    expect(await netns.linkNames()).toEqual(['lo', 'eth0']);
    const address = attached.addresses[0] ?? '';
    expect(await netns.addresses('eth0')).toEqual([`${address}/24`]);
    expect(await world.heldAddresses()).toEqual([address]);

    await netns.run(['busybox', 'ping', '-c', '1', '-W', '2', world.subnet.replace('.0/24', '.1')]);
    const server = netns.run(['socat', '-u', 'SYSTEM:echo hello', `TCP-LISTEN:80,reuseaddr`]);
    expect(await fetchFrom(`127.0.0.1:${hostPort}`)).toBe('hello\n');
    await server;

    const before = world.calls.length;
    await cni.detach({ containerId }, signal);
    await cni.detach({ containerId }, signal);
    expect(world.verbs().slice(before)).toEqual(['DEL portmap', 'DEL bridge']);
    expect(await netns.linkNames()).toEqual(['lo']);
    expect(await world.natRules()).toEqual([]);
    expect(await world.heldAddresses()).toEqual([]);
    expect(await world.recordFiles()).toEqual([]);
    expect(cni.attachments()).toEqual([]);
  });

  test('plugins are asked for their version once', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    await using cni = await world.cni();
    const sandboxes = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => ({ name, netns: await world.netns(name) })),
    );
    await Promise.all(
      sandboxes.map(({ name, netns }) =>
        cni.attach({ containerId: world.containerId(name), netns: netns.path }, signal),
      ),
    );
    expect(world.verbs().filter((verb) => verb.startsWith('VERSION'))).toHaveLength(2);
    expect(new Set(await world.heldAddresses()).size).toBe(3);
    await Promise.all(sandboxes.map(({ name }) => cni.detach({ containerId: world.containerId(name) }, signal)));
  });

  test('both address families, in the order of the configuration', async () => {
    await using world = await CniWorld.open(dir);
    const octet = world.subnet.split('.')[2] ?? '1';
    await world.writeBridge({ subnets: [world.subnet, `fd88:${octet}::/64`] });
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const attached = await cni.attach({ containerId: world.containerId('a'), netns: netns.path }, signal);
    expect(attached.addresses).toEqual([expect.stringMatching(/^10\.88\./), expect.stringMatching(/^fd88:/)]);
    await cni.detach({ containerId: world.containerId('a') }, signal);
  });

  test.each(['0.3.1', '0.4.0', '1.0.0', '1.1.0'])('a chain speaks %s', async (version) => {
    await using world = await CniWorld.open(dir);
    await world.writeList('10.conflist', {
      cniVersion: version,
      name: world.network,
      plugins: [
        { type: 'bridge', bridge: world.bridge, isGateway: true, ipMasq: true, ipam: world.ipam },
        { type: 'portmap', capabilities: { portMappings: true } },
        { type: 'bandwidth', capabilities: { bandwidth: true } },
      ],
    });
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    // Without a limit the bandwidth plugin of Debian 12 panics on CHECK.
    const bandwidth = {
      ingressRate: 8_000_000,
      ingressBurst: 8_000_000,
      egressRate: 8_000_000,
      egressBurst: 8_000_000,
    };
    const request = { containerId, netns: netns.path, capabilities: { bandwidth } };
    if (version === '1.1.0' && spec !== '1.1.0') {
      const failure = await failureOf(cni.attach(request, signal));
      expect(failure).toMatchObject({ code: 'unsupported-version', plugin: 'bridge', wanted: ['1.1.0'] });
      return;
    }
    const attached = await cni.attach(request, signal);
    expect(attached).toMatchObject({ version, addresses: [expect.stringMatching(/^10\.88\./)] });
    expect(attached.result.interfaces.map((i) => i.name)).toContain('eth0');
    expect(await cni.check({ containerId }, signal)).toBe(version === '0.3.1' ? 'unsupported' : 'checked');
    await cni.detach({ containerId }, signal);
    expect(await netns.linkNames()).toEqual(['lo']);
  });

  test('ptp with firewall: rules come and go', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeList('10.conflist', {
      cniVersion: '0.4.0',
      cniVersions: ['1.0.0', '1.1.0'],
      name: world.network,
      plugins: [
        { type: 'ptp', ipMasq: true, ipam: world.ipam },
        { type: 'firewall', backend: 'iptables' },
      ],
    });
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    const attached = await cni.attach({ containerId, netns: netns.path }, signal);
    const address = attached.addresses[0] ?? '';
    const rules = await world.natRules();
    expect(rules.filter((rule) => rule.includes('CNI-FORWARD') && rule.includes(address))).not.toEqual([]);
    expect(rules.filter((rule) => rule.includes('MASQUERADE'))).not.toEqual([]);
    await hostProgram(['busybox', 'ping', '-c', '1', '-W', '2', address]);
    await cni.detach({ containerId }, signal);
    expect(await world.natRules()).toEqual([]);
  });

  test('bandwidth: a limit is set and its device removed', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge({ bandwidth: true });
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    const bandwidth = {
      ingressRate: 8_000_000,
      ingressBurst: 8_000_000,
      egressRate: 8_000_000,
      egressBurst: 8_000_000,
    };
    const attached = await cni.attach({ containerId, netns: netns.path, capabilities: { bandwidth } }, signal);
    const ifb = attached.result.interfaces.find((i) => i.name.startsWith('bwp'))?.name ?? '';
    expect(await hostProgram(['tc', 'qdisc', 'show', 'dev', ifb])).toContain('tbf');
    await cni.detach({ containerId }, signal);
    expect((await tryHostProgram(['ip', 'link', 'show', ifb])).end).not.toEqual({ kind: 'exited', code: 0 });
  });

  test('loopback plugin brings lo up when asked', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    await using cni = await world.cni({ loopback: 'plugin' });
    const netns = await world.netns('a');
    await netns.run(['ip', 'link', 'set', 'lo', 'down']);
    await cni.attach({ containerId: world.containerId('a'), netns: netns.path }, signal);
    expect(await netns.run(['ip', 'link', 'show', 'lo'])).toContain('LOOPBACK,UP');
    await cni.detach({ containerId: world.containerId('a') }, signal);
  });

  test('two networks for one sandbox by interface name', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    const second = {
      type: 'ptp',
      ipam: { ...world.ipam, ranges: [[{ subnet: world.subnet.replace('10.88', '10.89') }]] },
    };
    await world.writeList('20-second.conflist', { cniVersion: '1.0.0', name: `second-${world.id}`, plugins: [second] });
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    await cni.attach({ containerId, netns: netns.path }, signal);
    await cni.attach({ containerId, netns: netns.path, ifName: 'net1', network: `second-${world.id}` }, signal);
    expect(await netns.linkNames()).toEqual(['lo', 'eth0', 'net1']);
    await cni.detach({ containerId, ifName: 'net1' }, signal);
    expect(await netns.linkNames()).toEqual(['lo', 'eth0']);
    await cni.detach({ containerId }, signal);
    expect(await netns.linkNames()).toEqual(['lo']);
  });

  test('CHECK finds an address that was taken away; attaching again heals', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    const request = { containerId, netns: netns.path };
    const first = await cni.attach(request, signal);
    expect(await cni.check({ containerId }, signal)).toBe('checked');
    expect(await cni.attach(request, signal)).toEqual(first);
    await netns.run(['ip', 'address', 'flush', 'dev', 'eth0']);
    expect(await failureOf(cni.check({ containerId }, signal))).toMatchObject({
      code: 'refused',
      verb: 'CHECK',
      plugin: 'bridge',
    });
    const second = await cni.attach(request, signal);
    expect(await netns.addresses('eth0')).toEqual([`${second.addresses[0] ?? ''}/24`]);
    expect(await world.heldAddresses()).toEqual(second.addresses);
    await cni.detach({ containerId }, signal);
    expect(await world.natRules()).toEqual([]);
  });

  test('gc finds the masquerading that bridge forgot because its address was gone', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    await using cni = await world.cni();
    const containerId = world.containerId('a');
    const [netns, other] = [await world.netns('a'), await world.netns('b')];
    await cni.attach({ containerId, netns: netns.path }, signal);
    await cni.attach({ containerId: world.containerId('b'), netns: other.path }, signal);
    await netns.run(['ip', 'link', 'delete', 'eth0']);
    await cni.detach({ containerId }, signal);
    expect((await world.natRules()).join('\n')).toContain(containerId);
    await cni.gc(() => [{ containerId: world.containerId('b'), ifName: 'eth0' }], signal);
    const rules = (await world.natRules()).join('\n');
    expect(rules).not.toContain(containerId);
    expect(rules).toContain(world.containerId('b'));
    await cni.detach({ containerId: world.containerId('b') }, signal);
  });

  test('DEL after the namespace went frees the address, the host port and the masquerading', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    await using cni = await world.cni();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    const portMappings = [{ hostPort: mappedPort(), containerPort: 80, protocol: 'tcp' }];
    await cni.attach({ containerId, netns: netns.path, capabilities: { portMappings } }, signal);
    expect(await world.natRules()).not.toEqual([]);
    await netns.remove();
    await cni.detach({ containerId }, signal);
    expect(await world.natRules()).toEqual([]);
    expect(await world.heldAddresses()).toEqual([]);
    expect(
      world.calls.filter((call) => call.verb === 'DEL').map((call) => (call.request as { env: object }).env),
    ).toEqual([expect.objectContaining({ CNI_NETNS: '' }), expect.objectContaining({ CNI_NETNS: '' })]);
  });

  test('another namespace at the same path is attached anew and never handed to DEL', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    await using cni = await world.cni();
    const containerId = world.containerId('a');
    const old = await world.netns('a');
    await cni.attach({ containerId, netns: old.path }, signal);
    await old.remove();
    const fresh = await world.netns('a');
    const attached = await cni.attach({ containerId, netns: fresh.path }, signal);
    expect(await fresh.addresses('eth0')).toEqual([`${attached.addresses[0] ?? ''}/24`]);
    expect(await world.heldAddresses()).toEqual(attached.addresses);
    await cni.detach({ containerId }, signal);
    expect(await world.natRules()).toEqual([]);
  });

  test('DEL uses the configuration of its ADD when the file changed or went', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    const netns = await world.netns('a');
    const containerId = world.containerId('a');
    {
      await using cni = await world.cni();
      await cni.attach({ containerId, netns: netns.path }, signal);
    }
    await world.writeList('10-bridge.conflist', {
      cniVersion: '1.0.0',
      name: 'other',
      plugins: [{ type: 'nonsense' }],
    });
    await using cni = await world.cni();
    expect(cni.attachments()).toMatchObject([{ containerId, phase: 'attached', network: world.network }]);
    await cni.detach({ containerId }, signal);
    expect(await netns.linkNames()).toEqual(['lo']);
    expect(await world.heldAddresses()).toEqual([]);
  });

  test('gc removes strays and an address that leaked without a record', async () => {
    await using world = await CniWorld.open(dir);
    await world.writeBridge();
    await using cni = await world.cni();
    const kept = await world.netns('kept');
    const stray = await world.netns('stray');
    await cni.attach({ containerId: world.containerId('kept'), netns: kept.path }, signal);
    await cni.attach({ containerId: world.containerId('stray'), netns: stray.path }, signal);
    const leaked = await leakAddress(world, dir);
    // As host-local leaves it when it is killed before it has written whose the address is.
    await writeFile(join(world.dataDir, world.network, `${leaked.slice(0, leaked.lastIndexOf('.'))}.200`), '');
    const report = await cni.gc(() => [{ containerId: world.containerId('kept'), ifName: 'eth0' }], signal);
    expect(report).toEqual({ removed: [{ containerId: world.containerId('stray'), ifName: 'eth0' }], failures: [] });
    expect(await kept.linkNames()).toEqual(['lo', 'eth0']);
    expect(await stray.linkNames()).toEqual(['lo']);
    expect(await world.heldAddresses()).toEqual((await kept.addresses('eth0')).map((address) => address.split('/')[0]));
    expect(leaked).toMatch(/^10\.88\./);
    const asked = world.calls.find((call) => call.verb === 'GC' && call.plugin === 'bridge');
    if (spec !== '1.1.0') expect(asked).toBeUndefined();
    else {
      const valid = [{ containerID: world.containerId('kept'), ifname: 'eth0' }];
      expect(asked).toMatchObject({
        request: { config: { 'cni.dev/valid-attachments': valid } },
        outcome: { response: undefined },
      });
    }
    await cni.detach({ containerId: world.containerId('kept') }, signal);
  });

  test('status: ready, a missing program, no configuration', async () => {
    await using world = await CniWorld.open(dir);
    await using none = await world.cni();
    expect(await none.status(signal)).toMatchObject({
      ready: false,
      reason: expect.stringContaining('no network configuration') as string,
    });
    await world.writeBridge();
    await using cni = await world.cni();
    expect(await cni.status(signal)).toEqual({ ready: true, network: world.network, version: spec });
    await world.writeList('05.conflist', { cniVersion: '1.0.0', name: 'absent', plugins: [{ type: 'absent-plugin' }] });
    await using broken = await world.cni();
    expect(await broken.status(signal)).toMatchObject({
      ready: false,
      failure: { code: 'not-found', plugin: 'absent-plugin' },
    });
  });
});

/** Connects until the server inside listens. */
async function fetchFrom(address: string): Promise<string> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const result = await tryHostProgram(['socat', '-u', `TCP:${address},connect-timeout=1`, '-']);
    if (result.stdout.length > 0) return result.stdout.toString('utf8');
    if (performance.now() > deadline) throw new Error(`no answer from ${address}: ${result.stderr}`);
  }
}

/** Takes an address with `host-local` directly, as a runtime that lost its records would have. */
async function leakAddress(world: CniWorld, dir: string): Promise<string> {
  const answer = await hostLocal(world, dir, 'ADD');
  const { ips } = JSON.parse(answer) as { ips: Array<{ address: string }> };
  return ips[0]?.address.split('/')[0] ?? '';
}

async function hostLocal(world: CniWorld, dir: string, command: string): Promise<string> {
  const config = JSON.stringify({ cniVersion: '1.0.0', name: world.network, type: 'bridge', ipam: world.ipam });
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'leaked',
    CNI_NETNS: '/none',
    CNI_IFNAME: 'eth0',
    CNI_PATH: dir,
    PATH: '/usr/sbin:/usr/bin',
  };
  const result = await world.run({ argv: [`${dir}/host-local`], env, stdin: config, timeoutMs: 60_000 }, signal);
  return result.stdout.toString('utf8');
}
