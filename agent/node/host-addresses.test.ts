import { expect, test } from 'vitest';
import { addressOfFamily, chooseAddresses, defaultInterface } from './host-addresses.js';

const v4 = (address: string, internal = false) => ({ address, family: 'IPv4' as const, internal });
const v6 = (address: string) => ({ address, family: 'IPv6' as const, internal: false });
const interfaces = {
  lo: [v4('127.0.0.1', true)],
  nat: [v4('10.0.2.15'), v6('fe80::1')],
  lan: [v4('192.168.7.4'), v6('fd00::4')],
};

test.each<[string, string | undefined, readonly string[], string[]]>([
  ['the default route', 'nat', [], ['10.0.2.15']],
  ['what the name stands for, before the default route', 'nat', ['192.168.7.4'], ['192.168.7.4', 'fd00::4']],
  ['a name of both families: IPv4 first', 'nat', ['fd00::4', '192.168.7.4'], ['192.168.7.4', 'fd00::4']],
  ['a name of IPv6 only', 'nat', ['fd00::4'], ['fd00::4', '192.168.7.4']],
  [
    'a name that stands for loopback, or for another machine',
    'lan',
    ['127.0.0.1', '8.8.8.8'],
    ['192.168.7.4', 'fd00::4'],
  ],
  ['neither', undefined, [], ['10.0.2.15']],
])('%s', (_what, preferred, named, chosen) => {
  expect(chooseAddresses(interfaces, preferred, named)).toEqual(chosen);
});

test.each([
  ['IPv4', 'nat', '10.0.2.15'],
  ['IPv4', 'lan', '192.168.7.4'],
  ['IPv6', 'nat', 'fd00::4'],
] as const)('of family %s, with the default route over %s', (family, preferred, address) => {
  expect(addressOfFamily(interfaces, preferred, family)).toBe(address);
  expect(addressOfFamily({ nat: interfaces.nat }, preferred, family)).toBe('10.0.2.15');
});

test('a machine without addresses is reached on loopback', () => {
  expect(chooseAddresses({ lo: interfaces.lo }, undefined, ['127.0.0.1'])).toEqual(['127.0.0.1']);
});

test('the default route is the one to nowhere in particular', () => {
  const routes = 'Iface\tDestination\tGateway\nlan\t0007A8C0\t00000000\nnat\t00000000\t0202000A\n';
  expect(defaultInterface(routes)).toBe('nat');
  expect(defaultInterface('Iface\tDestination\n')).toBeUndefined();
});
