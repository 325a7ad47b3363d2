import { describe, expect, test } from 'vitest';
import type { Pod } from '../api/index.js';
import { mebi, podOf } from './eviction-fixtures.js';
import { EvictionPods, type EvictionPod } from './eviction-pod.js';
import { evictionWords, type EvictionWords } from './eviction-words.js';
import type { EvictionSignal } from './signals.js';

describe('the message names the resource, the numbers and who took more than it asked for', () => {
  const container = {
    name: 'app',
    memory: 300 * mebi,
    memoryRequest: 100 * mebi,
    rootfs: { bytes: mebi, inodes: 7 },
    logs: { bytes: 0, inodes: 0 },
    storageRequest: 0,
  };
  const crossed = (signal: EvictionSignal) => ({
    threshold: { signal, value: { kind: 'amount' as const, amount: 100 * mebi }, graceMs: 0, minReclaim: undefined },
    observed: { available: 50 * mebi, capacity: 2 ** 30 },
    wanted: 100 * mebi,
    target: 100 * mebi,
    since: 0,
    due: true,
  });
  const wordsOf = (signal: EvictionSignal, more: Partial<EvictionPod> = {}): EvictionWords =>
    evictionWords(
      {
        ...podOf('a', { memory: 310 * mebi, containers: [container, { ...container, name: 'small', memory: 1 }] }),
        ...more,
      },
      crossed(signal),
      'one',
    );
  const messageOf = (signal: EvictionSignal, more: Partial<EvictionPod> = {}): string => wordsOf(signal, more).message;

  test('memory', () => {
    expect(messageOf('memory.available')).toBe(
      'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container app was using 300Mi, request is 100Mi, has larger consumption of memory. ',
    );
  });

  test('of a pod that asks for memory as a whole, what all of it took', () => {
    const whole = 'Pod a was using 310Mi, request is 200Mi, has larger consumption of memory. ';
    const more = { podLevelMemoryRequest: 200 * mebi };
    expect(messageOf('allocatableMemory.available', more)).toContain(`available: 50Mi. ${whole}Container app was`);
    expect(messageOf('nodefs.available', more)).not.toContain('Pod a');
  });

  test('nobody asks for inodes or processes', () => {
    expect(messageOf('nodefs.available')).toContain('Container small was using 1Mi, request is 0, has larger');
    expect(messageOf('nodefs.inodesFree')).toMatch(/^The node was low on resource: inodes\. Threshold [^.]*\. $/);
    expect(messageOf('pid.available')).toMatch(/^The node was low on resource: pids\. Threshold [^.]*\. $/);
  });

  test('the event says the same in its annotations', () => {
    expect(wordsOf('memory.available', { podLevelMemoryRequest: 200 * mebi }).annotations).toEqual({
      offending_pod: 'a',
      offending_pod_usage: '310Mi',
      offending_containers: 'app',
      offending_containers_usage: '300Mi',
      starved_resource: 'memory',
    });
    expect(wordsOf('nodefs.inodesFree').annotations).toEqual({
      offending_containers: '',
      offending_containers_usage: '',
      starved_resource: 'inodes',
    });
    expect(wordsOf('nodefs.available', { usage: undefined }).annotations).toEqual({});
  });

  test('containers to look into a pod with are not blamed', () => {
    const pod: Pod = {
      metadata: { name: 'a', uid: 'a' },
      spec: {
        resources: { requests: { memory: '1Gi', cpu: '1' } },
        initContainers: [{ name: 'init' }],
        containers: [{ name: 'main' }],
        ephemeralContainers: [{ name: 'debug' }],
      },
    };
    const built = new EvictionPods().of(pod, undefined, { rootfs: new Map(), logs: new Map(), volumes: [] });
    expect(built.containers.map(({ name }) => name)).toEqual(['init', 'main']);
    expect(built.podLevelMemoryRequest).toBe(2 ** 30);
    const plain = new EvictionPods().of({ ...pod, spec: { containers: [{ name: 'main' }] } }, undefined, {
      rootfs: new Map(),
      logs: new Map(),
      volumes: [],
    });
    expect(plain.podLevelMemoryRequest).toBeUndefined();
  });
});
