import { expect, test } from 'vitest';
import { firewallChains, portmapChains, unusedChainRemovals } from './unused-cni-chains.js';

const nat = `-P PREROUTING ACCEPT
-N CNI-HOSTPORT-DNAT
-N CNI-HOSTPORT-MASQ
-N CNI-HOSTPORT-SETMARK
-N DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A PREROUTING -j DOCKER
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
`;

const filter = `-P FORWARD ACCEPT
-N CNI-ADMIN
-N CNI-FORWARD
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
`;

test('unused chains of portmap go with the jumps to them, and nothing else', () => {
  expect(unusedChainRemovals(portmapChains, nat)).toEqual([
    ['-D', 'PREROUTING', '-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'CNI-HOSTPORT-DNAT'],
    ['-D', 'OUTPUT', '-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'CNI-HOSTPORT-DNAT'],
    ['-D', 'POSTROUTING', '-m', 'comment', '--comment', 'CNI portfwd requiring masquerade', '-j', 'CNI-HOSTPORT-MASQ'],
    ['-F', 'CNI-HOSTPORT-DNAT'],
    ['-F', 'CNI-HOSTPORT-SETMARK'],
    ['-F', 'CNI-HOSTPORT-MASQ'],
    ['-X', 'CNI-HOSTPORT-DNAT'],
    ['-X', 'CNI-HOSTPORT-SETMARK'],
    ['-X', 'CNI-HOSTPORT-MASQ'],
  ]);
});

test('so do those of firewall', () => {
  expect(unusedChainRemovals(firewallChains, filter)).toEqual([
    ['-D', 'FORWARD', '-m', 'comment', '--comment', 'CNI firewall plugin rules', '-j', 'CNI-FORWARD'],
    ['-F', 'CNI-FORWARD'],
    ['-F', 'CNI-ADMIN'],
    ['-X', 'CNI-FORWARD'],
    ['-X', 'CNI-ADMIN'],
  ]);
});

test.each([
  ['a port is mapped', portmapChains, `${nat}-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 80 -j CNI-DN-1\n`],
  ['a pod is let through', firewallChains, `${filter}-A CNI-FORWARD -s 10.1.2.3/32 -j ACCEPT\n`],
  ['somebody has rules of his own', firewallChains, `${filter}-A CNI-ADMIN -j DROP\n`],
  ['there is nothing', portmapChains, '-P PREROUTING ACCEPT\n'],
])('nothing is removed while %s', (_what, shared, rules) => expect(unusedChainRemovals(shared, rules)).toEqual([]));
