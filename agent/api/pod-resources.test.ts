import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Container, Pod, PodSpec } from './generated/types.js';
import {
  computeQosClass,
  effectiveRequests,
  isPodLimited,
  podLimits,
  podRequests,
  type QosClass,
} from './pod-resources.js';
import { compareQuantities } from './quantity.js';

function container(cpu: string | undefined, fields: Partial<Container> = {}): Container {
  return { name: 'a', ...(cpu === undefined ? {} : { resources: { requests: { cpu } } }), ...fields };
}
const podOf = (spec: Partial<PodSpec>): Pod => ({ spec: { containers: [], ...spec } });

describe('what a pod asks for', () => {
  test.each<[string, Partial<PodSpec>, string]>([
    ['the sum of its containers', { containers: [container('1'), container('500m')] }, '1500m'],
    [
      'its largest init container',
      { containers: [container('1')], initContainers: [container('3'), container('2')] },
      '3',
    ],
    [
      'sidecars run beside',
      { containers: [container('1')], initContainers: [container('1', { restartPolicy: 'Always' })] },
      '2',
    ],
    [
      'an init phase with the sidecars before it',
      {
        containers: [container('1')],
        initContainers: [
          container('1', { restartPolicy: 'Always' }),
          container('5'),
          container('4', { restartPolicy: 'Always' }),
        ],
      },
      '6',
    ],
    ['pod-level requests replace it', { containers: [container('1')], resources: { requests: { cpu: '4' } } }, '4'],
    ['overhead comes on top', { containers: [container('1')], overhead: { cpu: '250m' } }, '1250m'],
  ])('%s', (_, spec, cpu) => {
    expect(podRequests(podOf(spec))).toEqual({ cpu });
  });

  test('limits get overhead only where there is a limit', () => {
    const limited = container(undefined, { resources: { limits: { cpu: '1' } } });
    expect(podLimits(podOf({ containers: [limited], overhead: { cpu: '1', memory: '1Mi' } }))).toEqual({ cpu: '2' });
  });

  test('a pod is limited when all its containers are, or it is itself', () => {
    const limited = container(undefined, { resources: { limits: { cpu: '1' } } });
    expect(isPodLimited(podOf({ containers: [limited] }), 'cpu')).toBe(true);
    expect(isPodLimited(podOf({ containers: [limited, container('1')] }), 'cpu')).toBe(false);
    expect(isPodLimited(podOf({ containers: [container('1')], resources: { limits: { cpu: '1' } } }), 'cpu')).toBe(
      true,
    );
  });

  test('a limit stands in for a request', () => {
    expect(effectiveRequests({ resources: { limits: { cpu: '2', memory: '1Mi' }, requests: { cpu: '1' } } })).toEqual({
      cpu: '1',
      memory: '1Mi',
    });
  });
});

const amounts = (cpu: string, memory: string): Record<string, string> => ({ cpu, memory });
describe('QoS class', () => {
  test.each<[string, Partial<PodSpec>, QosClass]>([
    ['nothing set', { containers: [container(undefined)] }, 'BestEffort'],
    ['zero counts as not set', { containers: [container('0')] }, 'BestEffort'],
    [
      'other resources do not count',
      { containers: [container(undefined, { resources: { limits: { 'a.b/c': '1' } } })] },
      'BestEffort',
    ],
    ['a request', { containers: [container('1')] }, 'Burstable'],
    [
      'all equal',
      {
        containers: [
          container('1', { resources: { requests: amounts('1', '1Mi'), limits: amounts('1000m', '1024Ki') } }),
        ],
      },
      'Guaranteed',
    ],
    [
      'memory only',
      { containers: [container('1', { resources: { requests: { memory: '1Mi' }, limits: { memory: '1Mi' } } })] },
      'Burstable',
    ],
    [
      'one container without',
      {
        containers: [
          container('1', { resources: { requests: amounts('1', '1Mi'), limits: amounts('1', '1Mi') } }),
          container(undefined),
        ],
      },
      'Burstable',
    ],
    [
      'an init container without',
      {
        containers: [container('1', { resources: { requests: amounts('1', '1Mi'), limits: amounts('1', '1Mi') } })],
        initContainers: [container(undefined)],
      },
      'Burstable',
    ],
    [
      'pod level decides alone',
      { containers: [container(undefined)], resources: { requests: amounts('1', '1Mi'), limits: amounts('1', '1Mi') } },
      'Guaranteed',
    ],
  ])('%s', (_, spec, qos) => {
    expect(computeQosClass(podOf(spec))).toBe(qos);
  });
});

test('a pod never asks for less than any of its containers, nor for more than all of them', () => {
  const cpu = fc.integer({ min: 0, max: 4000 }).map((milli) => `${milli}m`);
  const some = fc.array(cpu, { maxLength: 4 });
  fc.assert(
    fc.property(some, fc.array(fc.tuple(cpu, fc.boolean()), { maxLength: 4 }), (regular, init) => {
      const initContainers = init.map(([amount, sidecar]) =>
        container(amount, sidecar ? { restartPolicy: 'Always' } : {}),
      );
      const all = [...regular, ...init.map(([amount]) => amount)];
      const asked =
        podRequests(podOf({ containers: regular.map((amount) => container(amount)), initContainers }))['cpu'] ?? '0';
      for (const amount of all) expect(compareQuantities(asked, amount)).toBeGreaterThanOrEqual(0);
      const sum = all.reduce((total, amount) => total + Number.parseInt(amount, 10), 0);
      expect(compareQuantities(asked, `${sum}m`)).toBeLessThanOrEqual(0);
    }),
  );
});
