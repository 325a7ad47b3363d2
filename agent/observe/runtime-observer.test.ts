import { expect, test } from 'vitest';
import { criError, criLabels, type RuntimeService, type v1 } from '../../cri/index.js';
import type { PodUid } from '../api/index.js';
import { RuntimeObserver } from './runtime-observer.js';

const { signal } = new AbortController();
const [a, b] = ['a' as PodUid, 'b' as PodUid];

/** A runtime that keeps state and counts what it is asked. */
class World {
  readonly calls: string[] = [];
  readonly pods = new Map<string, { sandbox: v1.PodSandboxState; container: v1.ContainerState }>();
  away = false;
  /** Called while a list is on its way. */
  meanwhile: () => void = () => {};

  readonly runtime = {
    listPodSandbox: async ({ filter }: v1.ListPodSandboxRequest) => ({
      items: this.#listed('listPodSandbox', filter).map(([uid, { sandbox }]) => ({
        id: `s-${uid}`,
        state: sandbox,
        labels: { [criLabels.podUid]: uid },
      })),
    }),
    listContainers: async ({ filter }: v1.ListContainersRequest) => {
      const containers = this.#listed('listContainers', filter).map(([uid, { container }]) => ({
        id: `c-${uid}`,
        podSandboxId: `s-${uid}`,
        state: container,
        labels: { [criLabels.podUid]: uid },
      }));
      this.meanwhile();
      return { containers };
    },
    podSandboxStatus: async ({ podSandboxId = '' }: v1.PodSandboxStatusRequest) => {
      this.calls.push(`podSandboxStatus ${podSandboxId}`);
      if (!this.pods.has(podSandboxId.slice(2))) throw criError('not-found', podSandboxId);
      return { status: { id: podSandboxId, state: this.pods.get(podSandboxId.slice(2))?.sandbox } };
    },
    containerStatus: async ({ containerId = '' }: v1.ContainerStatusRequest) => {
      this.calls.push(`containerStatus ${containerId}`);
      const status = { id: containerId, state: this.pods.get(containerId.slice(2))?.container };
      const held = this.#held.get(containerId);
      this.#held.delete(containerId);
      held?.asked();
      await held?.answered;
      return { status };
    },
  } as unknown as RuntimeService;

  readonly observer = new RuntimeObserver({
    runtime: this.runtime,
    runtimeName: () => {
      this.calls.push('name');
      return Promise.resolve('test');
    },
    terminationMessage: () => Promise.resolve(''),
  });

  readonly #held = new Map<string, { asked: () => void; answered: Promise<void> }>();

  /** The next status of a container stays on its way until `answer`. */
  hold(containerId: string): { readonly asked: Promise<void>; answer(): void } {
    let asked = (): void => {};
    let answer = (): void => {};
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const whenAsked = new Promise<void>((resolve) => (asked = resolve));
    this.#held.set(containerId, { asked, answered });
    return { asked: whenAsked, answer };
  }

  run(uid: string, container: v1.ContainerState = 'CONTAINER_RUNNING'): void {
    this.pods.set(uid, { sandbox: 'SANDBOX_READY', container });
  }

  /** What was asked since the last time. */
  asked(): string[] {
    return this.calls.splice(0);
  }

  async stateOf(uid: PodUid): Promise<string | undefined> {
    return (await this.observer.observe(uid, signal)).containers[0]?.state;
  }

  #listed(
    verb: string,
    filter: { readonly labelSelector?: Record<string, string> | undefined } | null | undefined,
  ): [string, { sandbox: v1.PodSandboxState; container: v1.ContainerState }][] {
    const uid = filter?.labelSelector?.[criLabels.podUid];
    this.calls.push(uid === undefined ? verb : `${verb} ${uid}`);
    if (this.away) throw criError('unavailable', 'away');
    return [...this.pods].filter(([name]) => uid === undefined || name === uid);
  }
}

test('one look at everything serves all pods; a new one costs nothing; what is known is not asked again', async () => {
  const world = new World();
  world.run('a');
  const [one, none] = await Promise.all([world.stateOf(a), world.stateOf(b)]);
  expect([one, none]).toEqual(['running', undefined]);
  expect(world.asked()).toEqual([
    'listPodSandbox',
    'listContainers',
    'podSandboxStatus s-a',
    'containerStatus c-a',
    'name',
  ]);
  await world.stateOf(a);
  expect(world.asked()).toEqual([]);
});

test('after a change only that pod is asked for, and not for what cannot have changed', async () => {
  const world = new World();
  world.run('a');
  await world.stateOf(a);
  world.asked();
  world.run('a', 'CONTAINER_EXITED');
  world.observer.invalidate(a);
  expect(await world.stateOf(a)).toBe('exited');
  expect(world.asked()).toEqual(['listPodSandbox a', 'listContainers a', 'containerStatus c-a']);
  world.observer.invalidate(a);
  expect(await world.stateOf(a)).toBe('exited');
  expect(world.asked()).toEqual(['listPodSandbox a', 'listContainers a']);
});

test('an event that what is known shows already is no news', async () => {
  const world = new World();
  world.run('a');
  await world.stateOf(a);
  world.asked();
  expect(world.observer.tell(a, { id: 'c-a', became: 'running' })).toBe(false);
  expect(world.observer.tell(a, { id: 's-a', became: 'created' })).toBe(false);
  expect(world.observer.tell(a, { id: 'other', became: 'gone' })).toBe(false);
  await world.stateOf(a);
  expect(world.asked()).toEqual([]);
  world.run('a', 'CONTAINER_EXITED');
  expect(world.observer.tell(a, { id: 'c-a', became: 'exited' })).toBe(true);
  expect(await world.stateOf(a)).toBe('exited');
});

test('what is said while a pod is read must show in the answer, or the pod is read again', async () => {
  const world = new World();
  world.run('a', 'CONTAINER_CREATED');
  world.observer.invalidate(a);
  world.meanwhile = () => {
    world.meanwhile = () => {};
    // In time for the status of this same read.
    world.run('a');
    world.observer.tell(a, { id: 'c-a', became: 'running' });
  };
  expect(await world.stateOf(a)).toBe('running');
  world.asked();
  await world.stateOf(a);
  expect(world.asked()).toEqual([]);
  world.observer.invalidate(a);
  world.meanwhile = () => {
    world.meanwhile = () => {};
    world.observer.tell(a, { id: 'c-a', became: 'exited' });
  };
  expect(await world.stateOf(a)).toBe('running');
  world.run('a', 'CONTAINER_EXITED');
  expect(await world.stateOf(a)).toBe('exited');
});

test('after a verb only what it made is asked for, and nothing for what it took away', async () => {
  const world = new World();
  expect(await world.stateOf(a)).toBeUndefined();
  world.run('a', 'CONTAINER_CREATED');
  world.observer.tell(a, { id: 's-a', became: 'running', sandboxId: 's-a' });
  expect((await world.observer.observe(a, signal)).sandboxes[0]).toMatchObject({ id: 's-a', ready: true });
  world.observer.tell(a, { id: 'c-a', became: 'created', sandboxId: 's-a' });
  expect((await world.observer.observe(a, signal)).containers[0]).toMatchObject({ id: 'c-a', sandboxId: 's-a' });
  world.run('a', 'CONTAINER_RUNNING');
  world.observer.tell(a, { id: 'c-a', became: 'running', sandboxId: 's-a' });
  expect(await world.stateOf(a)).toBe('running');
  expect(world.asked()).toEqual([
    'listPodSandbox',
    'listContainers',
    'podSandboxStatus s-a',
    'containerStatus c-a',
    'name',
    'containerStatus c-a',
  ]);
  world.run('a', 'CONTAINER_EXITED');
  world.pods.set('a', { sandbox: 'SANDBOX_NOTREADY', container: 'CONTAINER_EXITED' });
  // Nobody told of the container: it ended with its sandbox.
  world.observer.tell(a, { id: 's-a', became: 'exited' });
  expect(await world.stateOf(a)).toBe('exited');
  expect(world.asked()).toEqual(['podSandboxStatus s-a', 'containerStatus c-a']);
  world.observer.tell(a, { id: 's-a', became: 'gone' });
  expect(await world.observer.observe(a, signal)).toEqual({ sandboxes: [], containers: [] });
  expect(world.asked()).toEqual([]);
});

test('what the runtime said of a thing that runs is not asked for', async () => {
  const world = new World();
  await world.stateOf(a);
  world.asked();
  const ready = { id: 's-a', state: 'SANDBOX_READY', network: { ip: '10.0.0.7' } } as const;
  world.observer.tell(a, { id: 's-a', became: 'created', sandboxId: 's-a', said: { kind: 'sandbox', status: ready } });
  world.observer.tell(a, { id: 's-a', became: 'running', sandboxId: 's-a' });
  const { sandboxes } = await world.observer.observe(a, signal);
  expect(sandboxes).toMatchObject([{ id: 's-a', ready: true, ips: ['10.0.0.7'] }]);
  const running = { id: 'c-a', state: 'CONTAINER_RUNNING', imageRef: 'sha256:1' } as const;
  const said = { kind: 'container', status: running } as const;
  world.observer.tell(a, { id: 'c-a', became: 'running', sandboxId: 's-a', said });
  const { containers } = await world.observer.observe(a, signal);
  expect(containers).toMatchObject([{ id: 'c-a', sandboxId: 's-a', state: 'running', imageRef: 'sha256:1' }]);
  expect(world.asked()).toEqual(['name']);
});

test('what the runtime says right after a verb was answered is not asked for either', async () => {
  const world = new World();
  world.run('a');
  await world.stateOf(a);
  world.asked();
  const status = { id: 'c-2', state: 'CONTAINER_RUNNING' } as const;
  const change = { id: 'c-2', became: 'running', sandboxId: 's-a' } as const;
  world.observer.tell(a, change);
  setImmediate(() => world.observer.tell(a, { ...change, said: { kind: 'container', status } }));
  const { containers } = await world.observer.observe(a, signal);
  expect(containers.map(({ id }) => id)).toContain('c-2');
  expect(world.asked()).toEqual([]);
});

test.each([
  ['has no address yet', { id: 's-a', state: 'SANDBOX_READY' }],
  ['is not ready', { id: 's-a', state: 'SANDBOX_NOTREADY', network: { ip: '10.0.0.7' } }],
] as const)('a sandbox that %s is asked for once it is made', async (_what, status) => {
  const world = new World();
  await world.stateOf(a);
  world.run('a');
  world.asked();
  world.observer.tell(a, { id: 's-a', became: 'created', sandboxId: 's-a', said: { kind: 'sandbox', status } });
  world.observer.tell(a, { id: 's-a', became: 'running', sandboxId: 's-a' });
  await world.observer.observe(a, signal);
  expect(world.asked()).toEqual(['podSandboxStatus s-a']);
});

test('the end of a container is asked for, whatever was said of it', async () => {
  const world = new World();
  world.run('a');
  expect(await world.stateOf(a)).toBe('running');
  world.run('a', 'CONTAINER_EXITED');
  world.asked();
  for (const [became, state] of [
    ['running', 'CONTAINER_RUNNING'],
    ['exited', 'CONTAINER_EXITED'],
  ] as const)
    world.observer.tell(a, { id: 'c-a', became, said: { kind: 'container', status: { id: 'c-a', state } } });
  expect(await world.stateOf(a)).toBe('exited');
  expect(world.asked()).toEqual(['containerStatus c-a']);
});

test('a sandbox that turns out to be gone took its containers with it', async () => {
  const world = new World();
  world.run('a', 'CONTAINER_EXITED');
  expect(await world.stateOf(a)).toBe('exited');
  world.pods.delete('a');
  world.observer.tell(a, { id: 's-a', became: 'exited' });
  expect(await world.observer.observe(a, signal)).toEqual({ sandboxes: [], containers: [] });
});

test('a thing that nobody can place is found by a list', async () => {
  const world = new World();
  await world.stateOf(a);
  world.run('a');
  world.asked();
  world.observer.tell(a, { id: 'c-a', became: 'running' });
  expect(await world.stateOf(a)).toBe('running');
  expect(world.asked().slice(0, 2)).toEqual(['listPodSandbox a', 'listContainers a']);
});

test('what is invalidated while it is read is listed again, and a slow reader does not undo a faster one', async () => {
  const world = new World();
  world.run('a', 'CONTAINER_CREATED');
  await world.stateOf(a);
  world.observer.invalidate(a);
  world.meanwhile = () => {
    world.meanwhile = () => {};
    world.observer.invalidate(a);
  };
  await world.stateOf(a);
  world.asked();
  await world.stateOf(a);
  expect(world.asked()[0]).toBe('listPodSandbox a');
  const slow = world.hold('c-a');
  world.observer.tell(a, { id: 'c-a', became: 'exited' });
  const slowly = world.stateOf(a);
  await slow.asked;
  world.run('a');
  world.observer.tell(a, { id: 'c-a', became: 'running' });
  expect(await world.stateOf(a)).toBe('running');
  slow.answer();
  expect(await slowly).toBe('created');
  expect(await world.stateOf(a)).toBe('running');
});

test('relist finds what no event told of, and nothing else', async () => {
  const world = new World();
  world.run('a');
  world.run('b');
  await Promise.all([world.stateOf(a), world.stateOf(b)]);
  expect(await world.observer.relist(signal)).toEqual([]);
  world.run('a', 'CONTAINER_EXITED');
  world.asked();
  expect(await world.observer.relist(signal)).toEqual(['a']);
  expect([await world.stateOf(a), await world.stateOf(b)]).toEqual(['exited', 'running']);
  expect(world.asked()).toEqual(['listPodSandbox', 'listContainers', 'containerStatus c-a']);
  world.pods.delete('b');
  expect(await world.observer.relist(signal)).toEqual(['b']);
  expect(await world.stateOf(b)).toBeUndefined();
});

test('a runtime that was away is read afresh when it is back', async () => {
  const world = new World();
  world.run('a');
  await world.stateOf(a);
  world.observer.invalidateAll();
  world.away = true;
  await expect(world.stateOf(a)).rejects.toThrow('away');
  await expect(world.stateOf(b)).rejects.toThrow('away');
  world.away = false;
  world.run('a', 'CONTAINER_EXITED');
  expect(await world.stateOf(a)).toBe('exited');
});
