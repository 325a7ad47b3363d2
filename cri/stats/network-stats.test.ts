import { expect, test } from 'vitest';
import { parseNetDev } from '../../base/net-dev.js';
import { networkUsage } from './network-stats.js';

const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:1234567      10    2    0    0     0          0         0      890      11    3    0    0     0       0          0
  net1:      5       1    0    0    0     0          0         0        6       1    0    0    0     0       0          0
`;

test('interfaces but the loopback; eth0 is the main one', () => {
  const interfaces = parseNetDev(text);
  expect(interfaces.map((one) => one.name)).toEqual(['eth0', 'net1']);
  const usage = networkUsage(interfaces, 7);
  expect(usage.defaultInterface).toEqual({
    name: 'eth0',
    rxBytes: { value: 1_234_567 },
    rxErrors: { value: 2 },
    txBytes: { value: 890 },
    txErrors: { value: 3 },
  });
  expect(usage.interfaces?.map((one) => one.name)).toEqual(['net1']);
  expect(networkUsage([], 7).defaultInterface).toBeUndefined();
});
