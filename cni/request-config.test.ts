import { describe, expect, test } from 'vitest';
import { wireArgs, wireCapabilities } from './attach-request.js';
import { bridgeConfList } from './default-network.js';
import { parseNetworkConfig, type PluginConfig } from './network-config.js';
import { attachmentConfig, gcConfig, unmetCapabilities } from './request-config.js';
import { newest, newestCommon } from './spec-version.js';
import { iptablesScript, nftablesHandles } from './sweep-masquerade.js';

const plugin: PluginConfig = {
  type: 'portmap',
  capabilities: ['portMappings', 'mac'],
  config: {
    type: 'portmap',
    name: 'ignored',
    cniVersion: '0.1.0',
    capabilities: { portMappings: true, mac: true },
    'cni.dev/x': 1,
    prevResult: {},
    snat: true,
  },
};

test('request configuration: own keys unchanged, runtime keys set, reserved keys out', () => {
  const result = { interfaces: [], ips: [{ address: '10.0.0.2/24' }], routes: [], dns: {} };
  expect(attachmentConfig('net', '0.4.0', plugin, { mac: 'x', dns: {} }, result)).toEqual({
    type: 'portmap',
    snat: true,
    name: 'net',
    cniVersion: '0.4.0',
    runtimeConfig: { mac: 'x' },
    prevResult: { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.0.0.2/24' }] },
  });
  expect(attachmentConfig('net', '1.0.0', plugin, {}, undefined)).toEqual({
    type: 'portmap',
    snat: true,
    name: 'net',
    cniVersion: '1.0.0',
  });
  expect(unmetCapabilities([plugin], { mac: 'x', dns: {} })).toEqual(['dns']);
});

test('GC names the valid attachments under both keys', () => {
  const valid = [{ containerID: 'c', ifname: 'eth0' }];
  expect(gcConfig('net', '1.1.0', plugin, [{ containerId: 'c', ifName: 'eth0' }])).toMatchObject({
    'cni.dev/valid-attachments': valid,
    'cni.dev/attachments': valid,
  });
});

describe('capabilities on the wire', () => {
  test.each([
    [undefined, {}],
    [{ portMappings: [], dns: {}, mac: '', aliases: [], bandwidth: { ingressRate: undefined } }, {}],
    [{ portMappings: [{ hostPort: 0, containerPort: 1, protocol: 'TCP' }] }, {}],
    [
      {
        portMappings: [{ hostPort: 8, containerPort: 1, protocol: 'SCTP', hostIP: '127.0.0.1' }],
        'io.kubernetes.cri.pod-annotations': { a: 'b' },
      },
      {
        portMappings: [{ hostPort: 8, containerPort: 1, protocol: 'sctp', hostIP: '127.0.0.1' }],
        'io.kubernetes.cri.pod-annotations': { a: 'b' },
      },
    ],
  ])('%j', (args, wire) => {
    expect(wireCapabilities(args)).toEqual(wire);
  });
});

test('CNI_ARGS', () => {
  expect(wireArgs({ containerId: 'c', netns: '/n' })).toBe('IgnoreUnknown=1');
  expect(
    wireArgs({ containerId: 'c', netns: '/n', pod: { namespace: 'a', name: 'b', uid: 'u' }, args: { IP: '1.2.3.4' } }),
  ).toBe('IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=u;IP=1.2.3.4');
});

test('versions', () => {
  expect(newest(['0.4.0', '1.1.0', '1.0.0'])).toBe('1.1.0');
  expect(newestCommon(['0.4.0', '1.1.0'], ['0.4.0', '1.0.0'])).toBe('0.4.0');
  expect(newestCommon(['1.1.0'], ['1.0.0'])).toBeUndefined();
});

test('the default network is one that can be read', () => {
  const network = parseNetworkConfig(
    bridgeConfList({ name: 'n', bridge: 'b', subnets: ['10.0.0.0/24', 'fd00::/64'], bandwidth: true, firewall: true }),
  );
  expect(network.plugins.map((p) => [p.type, p.capabilities])).toEqual([
    ['bridge', []],
    ['portmap', ['portMappings']],
    ['bandwidth', ['bandwidth']],
    ['firewall', []],
  ]);
});

describe('sweeping', () => {
  const chain = 'CNI-0123456789abcdef01234567';
  const other = 'CNI-76543210fedcba9876543210';
  const rules = [
    '-P POSTROUTING ACCEPT',
    `-N ${chain}`,
    `-A POSTROUTING -s 10.0.0.2/32 -m comment --comment "name: \\"net\\" id: \\"gone\\"" -j ${chain}`,
    `-A POSTROUTING -s 10.0.0.3/32 -m comment --comment "name: \\"net\\" id: \\"here\\"" -j ${other}`,
    `-A POSTROUTING -s 10.0.0.4/32 -m comment --comment "name: \\"foreign\\" id: \\"gone\\"" -j ${other}`,
    `-A ${chain} -d 10.0.0.0/24 -m comment --comment "name: \\"net\\" id: \\"gone\\"" -j ACCEPT`,
    '',
  ].join('\n');

  test('iptables: only rules and chains of stale containers of the network', () => {
    expect(iptablesScript(rules, 'net', (id) => id === 'gone')).toBe(
      [
        '*nat',
        `-D POSTROUTING -s 10.0.0.2/32 -m comment --comment "name: \\"net\\" id: \\"gone\\"" -j ${chain}`,
        `-F ${chain}`,
        `-X ${chain}`,
        'COMMIT',
        '',
      ].join('\n'),
    );
    expect(iptablesScript(rules, 'net', () => false)).toBeUndefined();
  });

  test('nftables: handles by comment', () => {
    const listed = `\t\tip saddr 10.0.0.2 ip daddr != 10.0.0.0/24 masquerade comment "00112233-4455, net: net, if: eth0, id: gone" # handle 12`;
    expect(nftablesHandles(listed, 'net', (id) => id === 'gone')).toEqual(['12']);
    expect(nftablesHandles(listed, 'other', () => true)).toEqual([]);
  });
});
