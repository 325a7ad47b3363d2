import { describe, expect, test } from 'vitest';
import { testSandbox } from '../podloop/pod-fixtures.js';
import { derive, stopped, one } from './status-fixtures.js';

describe('addresses', () => {
  test('one of each family, that of the node first', () => {
    const sandbox = testSandbox({ ips: ['10.0.0.2', 'fd00::2', '10.0.0.3'] });
    const facts = { runtime: { sandboxes: [sandbox], containers: [] }, hostIps: ['fd00::1', '192.0.2.1'] };
    expect(derive({ spec: one, facts })).toMatchObject({
      podIP: 'fd00::2',
      podIPs: [{ ip: 'fd00::2' }, { ip: '10.0.0.2' }],
      hostIPs: [{ ip: 'fd00::1' }, { ip: '192.0.2.1' }],
    });
  });

  test('those of the last sandbox stay while there is none', () => {
    const lastReported = { podIP: '10.0.0.9', podIPs: [{ ip: '10.0.0.9' }] };
    expect(derive({ spec: one, facts: { runtime: stopped(), lastReported } })).toMatchObject(lastReported);
  });

  test('with the network of the host they never change, but may become two', () => {
    const spec = { ...one, hostNetwork: true };
    const lastReported = { podIP: '192.0.2.7', podIPs: [{ ip: '192.0.2.7' }] };
    const facts = { runtime: { sandboxes: [testSandbox({ hostNetwork: true, ips: [] })], containers: [] } };
    expect(derive({ spec, facts: { ...facts, lastReported, hostIps: ['192.0.2.1', 'fd00::1'] } }).podIPs).toEqual([
      { ip: '192.0.2.7' },
      { ip: 'fd00::1' },
    ]);
    expect(derive({ spec, facts }).podIPs).toEqual([{ ip: '192.0.2.1' }]);
  });
});
