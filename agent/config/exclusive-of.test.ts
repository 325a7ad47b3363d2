import { expect, test } from 'vitest';
import { exclusiveOf, exclusiveProblem } from './exclusive-of.js';
import { withDefaults, type KubeletConfiguration } from './kubelet/index.js';

test('options are on in every word the kubelet takes for true', () => {
  const cpuManagerPolicyOptions = { 'full-pcpus-only': 'True', 'strict-cpu-reservation': '1', 'align-by-socket': '0' };
  const kubelet = withDefaults({ cpuManagerPolicy: 'static', reservedSystemCPUs: '0', cpuManagerPolicyOptions });
  expect(exclusiveProblem(kubelet)).toBeUndefined();
  expect(exclusiveOf(kubelet)?.cpu).toMatchObject({ fullCores: true, strictReservation: true, bySocket: false });
});

test.each<[string, Partial<KubeletConfiguration>, string]>([
  [
    'no truth value',
    { cpuManagerPolicyOptions: { 'full-pcpus-only': 'yes' } },
    'bad value for option "full-pcpus-only": expected true or false, got "yes"',
  ],
  [
    'too few nodes',
    { topologyManagerPolicyOptions: { 'max-allowable-numa-nodes': '4' } },
    'bad value for option "max-allowable-numa-nodes": expected a number of at least 8, got "4"',
  ],
  [
    'spread and whole',
    { cpuManagerPolicyOptions: { 'full-pcpus-only': 'true', 'distribute-cpus-across-cores': 'true' } },
    'static policy options full-pcpus-only and distribute-cpus-across-cores can not be used at the same time',
  ],
  [
    'one cache and many nodes',
    {
      cpuManagerPolicyOptions: { 'prefer-align-cpus-by-uncorecache': 'true', 'distribute-cpus-across-numa': 'true' },
    },
    'static policy options prefer-align-cpus-by-uncorecache and distribute-cpus-across-numa can not be used at the same time',
  ],
  [
    'a socket and one node',
    { cpuManagerPolicyOptions: { 'align-by-socket': 'true' }, topologyManagerPolicy: 'single-numa-node' },
    'topology manager policy single-numa-node is incompatible with the CPU manager policy option align-by-socket',
  ],
])('%s: refused', (_name, fields, problem) => {
  expect(exclusiveProblem(withDefaults({ cpuManagerPolicy: 'static', ...fields }))).toBe(problem);
});
