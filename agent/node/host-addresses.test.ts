import { expect, test } from 'vitest';
import type { Node } from '../api/index.js';
import {
  chooseAddress,
  defaultInterface,
  defaultInterface6,
  reachableAddresses,
  type AddressHints,
} from './host-addresses.js';
import { hostIpsOf } from './host-ips.js';

const v4 = (address: string, internal = false) => ({ address, family: 'IPv4' as const, internal });
const v6 = (address: string) => ({ address, family: 'IPv6' as const, internal: false });
const interfaces = {
  lo: [v4('127.0.0.1', true)],
  nat: [v4('10.0.2.15'), v6('fe80::1')],
  lan: [v4('192.168.7.4'), v6('fd00::4')],
  twice: [v4('10.7.0.1'), v4('10.7.0.2')],
};

test.each<[string, AddressHints, string]>([
  ['the default route', { routes: { IPv4: 'nat' } }, '10.0.2.15'],
  [
    'what the name stands for, before the default route',
    { routes: { IPv4: 'nat' }, named: ['192.168.7.4'] },
    '192.168.7.4',
  ],
  [
    'a name of both families: IPv4 first',
    { routes: { IPv4: 'nat' }, named: ['fd00::4', '192.168.7.4'] },
    '192.168.7.4',
  ],
  ['a name of IPv6 only', { routes: { IPv4: 'nat' }, named: ['fd00::4'] }, 'fd00::4'],
  [
    'a name that stands for loopback, or for another machine',
    { routes: { IPv4: 'lan' }, named: ['127.0.0.1', '8.8.8.8'] },
    '192.168.7.4',
  ],
  ['default routes of both families', { routes: { IPv4: 'lan', IPv6: 'lan' } }, '192.168.7.4'],
  ['a default route of IPv6 only, before addresses that lead nowhere', { routes: { IPv6: 'lan' } }, 'fd00::4'],
  ['neither', {}, '10.0.2.15'],
  ['one that stands for any of IPv6', { family: 'IPv6', routes: { IPv4: 'nat' } }, 'fd00::4'],
  ['what the name stands for, of whatever family', { family: 'IPv6', named: ['10.0.2.15'] }, '10.0.2.15'],
  ['the one it has, of several on its interface', { routes: { IPv4: 'twice' }, current: '10.7.0.2' }, '10.7.0.2'],
  [
    'the one it has only as long as no other is better',
    { routes: { IPv4: 'lan' }, current: '10.0.2.15' },
    '192.168.7.4',
  ],
  ['one that stands for any of IPv4', { family: 'IPv4', routes: { IPv4: 'lan' } }, '192.168.7.4'],
])('%s: one address', (_what, hints, chosen) => {
  expect(chooseAddress(reachableAddresses(interfaces), hints)).toBe(chosen);
});

test('of the other family where there is none of the one asked for', () => {
  const only = reachableAddresses({ nat: interfaces.nat });
  expect(chooseAddress(only, { family: 'IPv6', routes: { IPv4: 'nat' } })).toBe('10.0.2.15');
});

test('a machine that has none of its own has none to choose', () => {
  expect(chooseAddress(reachableAddresses({ lo: interfaces.lo }), { named: ['127.0.0.1'] })).toBeUndefined();
});

test.each<[string, Node | undefined, readonly string[]]>([
  ['nothing is known of the node', undefined, ['10.0.0.1']],
  ['its addresses are not told yet', { status: { addresses: [{ type: 'Hostname', address: 'n' }] } }, ['10.0.0.1']],
  [
    'a cloud told them: inside before outside, one of each family',
    {
      status: {
        addresses: [
          { type: 'ExternalIP', address: '203.0.113.7' },
          { type: 'InternalIP', address: '10.2.0.1' },
          { type: 'InternalIP', address: '10.3.0.1' },
          { type: 'InternalIP', address: 'fd00::2' },
        ],
      },
    },
    ['10.2.0.1', 'fd00::2'],
  ],
  [
    'there is only one outside',
    { status: { addresses: [{ type: 'ExternalIP', address: '203.0.113.7' }] } },
    ['203.0.113.7'],
  ],
])('the addresses that pods are told when %s', (_what, node, ips) => {
  expect(hostIpsOf(node, ['10.0.0.1'])).toEqual(ips);
});

test('the default route is the one to nowhere in particular', () => {
  const routes = 'Iface\tDestination\tGateway\nlan\t0007A8C0\t00000000\nnat\t00000000\t0202000A\n';
  expect(defaultInterface(routes)).toBe('nat');
  expect(defaultInterface('Iface\tDestination\n')).toBeUndefined();
  const zero = '0'.repeat(32);
  const line = (to: string, length: string, link: string): string =>
    `${to} ${length} ${zero} 00 ${zero} 00000400 00000001 00000000 00000001 ${link.padStart(8)}`;
  const own = line('fd000000000000000000000000000000', '40', 'nat');
  expect(defaultInterface6([own, line(zero, '00', 'lo'), line(zero, '00', 'lan'), ''].join('\n'))).toBe('lan');
  expect(defaultInterface6([own, line(zero, '00', 'lo')].join('\n'))).toBeUndefined();
});
