import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeResult, parseResult, sandboxAddresses, type CniResult } from './result.js';
import { atLeast, specVersions } from './spec-version.js';

const full: CniResult = {
  interfaces: [
    { name: 'br0', mac: '00:00:00:00:00:01' },
    { name: 'eth0', mac: '00:00:00:00:00:02', mtu: 1400, sandbox: '/run/netns/a', pciID: '0000:04:00.5' },
  ],
  ips: [
    { address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 1 },
    { address: 'fd00::5/64', interface: 1 },
  ],
  routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1', mtu: 1300, table: 7 }, { dst: '::/0' }],
  dns: { nameservers: ['10.1.0.1'], domain: 'x' },
};

describe('wire form', () => {
  test('1.1 keeps all', () => {
    expect(encodeResult(full, '1.1.0')).toEqual({ cniVersion: '1.1.0', ...full });
  });

  test('0.4 names the family of each address and knows fewer fields', () => {
    expect(encodeResult(full, '0.4.0')).toEqual({
      cniVersion: '0.4.0',
      interfaces: [
        { name: 'br0', mac: '00:00:00:00:00:01' },
        { name: 'eth0', mac: '00:00:00:00:00:02', sandbox: '/run/netns/a' },
      ],
      ips: [
        { version: '4', address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 1 },
        { version: '6', address: 'fd00::5/64', interface: 1 },
      ],
      routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }, { dst: '::/0' }],
      dns: full.dns,
    });
  });

  test('0.2 has one address of each family', () => {
    expect(encodeResult(full, '0.2.0')).toEqual({
      cniVersion: '0.2.0',
      ip4: { ip: '10.1.0.5/16', gateway: '10.1.0.1', routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }] },
      ip6: { ip: 'fd00::5/64', routes: [{ dst: '::/0' }] },
      dns: full.dns,
    });
  });

  test('an empty result has no empty keys', () => {
    expect(encodeResult({ interfaces: [], ips: [], routes: [], dns: {} }, '1.0.0')).toEqual({ cniVersion: '1.0.0' });
  });

  test('what every version from 0.3 can say comes back the same through any of them', () => {
    const plain = fc.record({
      interfaces: fc.array(fc.record({ name: fc.string({ minLength: 1 }), mac: fc.string(), sandbox: fc.string() })),
      ips: fc.array(
        fc.record({ address: fc.ipV4().map((ip) => `${ip}/24`), gateway: fc.ipV4(), interface: fc.nat(3) }),
      ),
      routes: fc.array(fc.record({ dst: fc.constantFrom('0.0.0.0/0', '::/0'), gw: fc.ipV4() })),
      dns: fc.constantFrom({}, { nameservers: ['1.2.3.4'], search: ['a'] }),
    });
    const versions = fc.constantFrom(...specVersions.filter((version) => atLeast(version, '0.3.0')));
    fc.assert(
      fc.property(plain, versions, (result, version) => {
        const wire = JSON.parse(JSON.stringify(encodeResult(result, version))) as unknown;
        expect(parseResult(wire, '1.0.0')).toEqual(result);
      }),
    );
  });
});

describe('an answer', () => {
  test.each([
    [7, 'expected an object, found a number'],
    [{ code: 3, msg: 'no' }, 'an error in place of a result'],
    [{ cniVersion: '3.0.0' }, 'cniVersion: unknown version 3.0.0'],
    [{ ips: {} }, 'ips: expected a list, found an object'],
    [{ ips: [{ address: '10.0.0.1' }] }, 'ips[0].address: not an address with a prefix: 10.0.0.1'],
    [{ interfaces: [{}] }, 'interfaces[0].name: missing'],
    [{ interfaces: [{ name: 'a', mtu: '9' }] }, 'interfaces[0].mtu: expected a number, found a string'],
    [{ dns: { search: [1] } }, 'dns.search[0]: expected a string, found a number'],
    [{ cniVersion: '0.2.0', ip4: { ip: 'x' } }, 'ip4.ip: not an address'],
  ])('%j is refused: %s', (value, reason) => {
    expect(() => parseResult(value, '1.0.0')).toThrow(reason);
  });

  test('of 0.2, or of a plugin called with 0.2 that names none', () => {
    const value = {
      ip4: { ip: '10.0.0.2/24', gateway: '10.0.0.1', routes: [{ dst: '0.0.0.0/0' }] },
      dns: { domain: '' },
    };
    const result = {
      interfaces: [],
      ips: [{ address: '10.0.0.2/24', gateway: '10.0.0.1' }],
      routes: [{ dst: '0.0.0.0/0' }],
      dns: {},
    };
    expect(parseResult(value, '0.2.0')).toEqual(result);
    expect(parseResult({ cniVersion: '0.2.0', ...value }, '1.0.0')).toEqual(result);
  });

  test('with nulls, as Go writes absent lists', () => {
    expect(parseResult({ ips: null, dns: null }, '1.0.0')).toEqual({ interfaces: [], ips: [], routes: [], dns: {} });
  });
});

test('addresses of the sandbox: those of the interface inside, and those that name none', () => {
  expect(sandboxAddresses(full, 'eth0')).toEqual(['10.1.0.5', 'fd00::5']);
  const ips = [
    { address: '10.0.0.1/24', interface: 0 },
    { address: '10.0.0.2/24' },
    { address: '10.0.0.3/24', interface: 9 },
  ];
  expect(sandboxAddresses({ ...full, ips }, 'eth0')).toEqual(['10.0.0.2', '10.0.0.3']);
});
