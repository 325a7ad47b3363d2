import { expect, test } from 'vitest';
import { servingNames } from './serving-names.js';

const told = (...all: [string, string][]) => ({
  status: { addresses: all.map(([type, address]) => ({ type, address })) },
});

test('a certificate carries all names and addresses of the node, each as what it is', () => {
  const node = told(
    ['InternalIP', '10.0.0.1'],
    ['ExternalIP', '203.0.113.7'],
    ['Hostname', 'here'],
    ['InternalDNS', 'here.example'],
  );
  expect(servingNames(node)).toEqual({ dnsNames: ['here', 'here.example'], addresses: ['10.0.0.1', '203.0.113.7'] });
  expect(servingNames(told(['InternalIP', '10.0.0.1'], ['Hostname', '10.0.0.1']))).toEqual({
    dnsNames: [],
    addresses: ['10.0.0.1'],
  });
});

test('none is asked for while the node has told no address', () => {
  expect([undefined, told(['Hostname', 'here'])].map((node) => servingNames(node))).toEqual([undefined, undefined]);
});
