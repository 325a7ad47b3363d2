import { expect, test } from 'vitest';
import type { NodeStatus } from '../../api/index.js';
import { leavingAddressesToProvider } from './provider-addresses.js';

type NodeAddress = NonNullable<NodeStatus['addresses']>[number];

const internal: NodeAddress = { type: 'InternalIP', address: '10.0.0.7' };
const hostname: NodeAddress = { type: 'Hostname', address: 'n' };
const external: NodeAddress = { type: 'ExternalIP', address: '203.0.113.7' };
const never = new AbortController().signal;

test.each<[string, NodeAddress[] | undefined, boolean, NodeAddress[] | undefined]>([
  ['nobody has spoken: the name alone', undefined, false, [hostname]],
  ['nobody has spoken, and an address was given', [], true, [internal, hostname]],
  ['the provider has spoken', [internal, external, hostname], true, undefined],
  ['the name alone is for the provider to complete', [hostname], false, undefined],
])('%s', async (_what, shown, hasNodeIps, said) => {
  const found: NodeStatus = { addresses: [internal, hostname], images: [] };
  const source = {
    read: () => Promise.resolve(found),
    onChange: () => ({ [Symbol.dispose]: () => {} }),
  };
  const previous = shown && { addresses: shown };
  const status = await leavingAddressesToProvider(source, hasNodeIps).read(previous, never);
  expect(status).toEqual({ images: [], ...(said && { addresses: said }) });
});
