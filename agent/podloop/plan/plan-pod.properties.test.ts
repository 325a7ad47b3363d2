import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Container, PodSpec } from '../../api/index.js';
import { SimulatedPod, testPod } from './simulated-pod.js';

/** Of each sidecar: begun with the end of the pod, over before its stop. */
const lifecycle = { preStop: { exec: { command: ['bye'] } } };

const policy = fc.constantFrom('Always', 'OnFailure', 'Never' as const);

const containers = (prefix: string, min: number): fc.Arbitrary<Container[]> =>
  fc.array(fc.record({ probed: fc.boolean() }), { minLength: min, maxLength: 3 }).map((list) =>
    list.map(({ probed }, index): Container => {
      const name = `${prefix}${index}`;
      return { name, image: `${name}:1`, ...(probed && { startupProbe: {}, readinessProbe: {} }) };
    }),
  );

const specs: fc.Arbitrary<PodSpec> = fc
  .record({
    containers: containers('app', 1),
    init: fc.array(fc.constantFrom('init', 'sidecar'), { maxLength: 3 }),
    restartPolicy: policy,
    hostNetwork: fc.boolean(),
    ephemeral: fc.boolean(),
    rule: fc.constantFrom(undefined, 'Restart', 'RestartAllContainers' as const),
  })
  .map(({ containers, init, restartPolicy, hostNetwork, ephemeral, rule }): PodSpec => {
    const [first, ...rest] = containers;
    const ruled: Container[] = first
      ? [
          {
            ...first,
            ...(rule && {
              restartPolicy: 'Never' as const,
              restartPolicyRules: [{ action: rule, exitCodes: { operator: 'In' as const, values: [42] } }],
            }),
          },
          ...rest,
        ]
      : [];
    return {
      containers: ruled,
      restartPolicy,
      hostNetwork,
      initContainers: init.map((kind, index) => {
        const name = `${kind}${index}`;
        return { name, image: `${name}:1`, ...(kind === 'sidecar' && { restartPolicy: 'Always' as const, lifecycle }) };
      }),
      ...(ephemeral && { ephemeralContainers: [{ name: 'debug', image: 'debug:1' }] }),
    };
  });

type Event =
  | {
      readonly kind: 'pass' | 'sandbox-dies' | 'agent-dies' | 'new-image' | 'new-size' | 'network' | 'delete' | 'hurry';
    }
  | {
      readonly kind: 'advance' | 'fail' | 'exit' | 'lose-track' | 'probe' | 'liveness';
      readonly pick: number;
      readonly code: number;
    }
  | { readonly kind: 'tick'; readonly ms: number };

const picked = { pick: fc.nat(20), code: fc.constantFrom(0, 0, 1, 42, 137) };
const event = (deletes: boolean): fc.Arbitrary<Event> =>
  fc.oneof(
    { weight: 12, arbitrary: fc.constant<Event>({ kind: 'pass' }) },
    { weight: 14, arbitrary: fc.record({ kind: fc.constant('advance' as const), ...picked }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('fail', 'exit', 'probe' as const), ...picked }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('lose-track', 'liveness' as const), ...picked }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Event>(
        { kind: 'sandbox-dies' },
        { kind: 'agent-dies' },
        { kind: 'new-image' },
        { kind: 'new-size' },
        { kind: 'new-size' },
        { kind: 'network' },
        ...(deletes ? ([{ kind: 'delete' }, { kind: 'hurry' }] as const) : []),
      ),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('tick' as const), ms: fc.constantFrom(1, 500, 11_000, 700_000) }),
    },
  );

const nth = <T>(list: readonly T[], pick: number): T | undefined => list[pick % Math.max(list.length, 1)];

function happen(world: SimulatedPod, happening: Event): void {
  world.now += 1;
  switch (happening.kind) {
    case 'pass':
      world.pass();
      break;
    case 'advance':
    case 'fail': {
      const key = nth([...world.operations.keys()], happening.pick);
      if (key === undefined) break;
      if (happening.kind === 'fail') world.fail(key);
      else world.advance(key);
      break;
    }
    case 'exit':
    case 'lose-track':
    case 'probe':
    case 'liveness': {
      const running = world.containers.filter(({ state }) => state === 'running');
      const container = nth(running, happening.pick);
      if (!container) break;
      if (happening.kind === 'exit') world.exit(container.id, happening.code);
      else if (happening.kind === 'lose-track') world.loseTrack(container.id);
      else if (happening.kind === 'probe')
        world.probes.set(container.id, { started: true, ready: happening.code === 0 });
      else {
        const failed = { probe: 'liveness', message: 'no answer' } as const;
        world.probes.set(container.id, { started: true, ready: false, failed });
      }
      break;
    }
    case 'sandbox-dies':
      world.sandboxDies();
      break;
    case 'agent-dies':
      world.restartAgent();
      break;
    case 'new-image':
      changeImage(world);
      break;
    case 'new-size':
      changeSize(world);
      break;
    case 'network':
      world.networkReady = !world.networkReady;
      break;
    case 'delete':
      world.terminate(30);
      break;
    case 'hurry':
      world.terminate(1);
      break;
    case 'tick':
      world.now += happening.ms;
      break;
  }
}

function changeImage(world: SimulatedPod): void {
  const { desired } = world;
  if (!desired) return;
  const { spec } = desired.pod;
  const [first, ...rest] = spec?.containers ?? [];
  if (!spec || !first) return;
  const image = first.image === 'app0:1' ? 'app0:2' : 'app0:1';
  world.desired = {
    ...desired,
    pod: { ...desired.pod, spec: { ...spec, containers: [{ ...first, image }, ...rest] } },
  };
}

/** Of the first container in place, of the others with a new start. */
function changeSize(world: SimulatedPod): void {
  const { desired } = world;
  if (!desired?.pod.spec) return;
  const { spec } = desired.pod;
  const resize = (container: Container, index: number): Container => {
    const cpu = container.resources?.limits?.['cpu'] === '1' ? '2' : '1';
    const policy = { resourceName: 'cpu', restartPolicy: 'RestartContainer' } as const;
    return { ...container, resources: { limits: { cpu } }, ...(index > 0 && { resizePolicy: [policy] }) };
  };
  world.desired = { ...desired, pod: { ...desired.pod, spec: { ...spec, containers: spec.containers.map(resize) } } };
}

const isOver = (world: SimulatedPod): boolean => ['Succeeded', 'Failed'].includes(world.status?.phase ?? '');

function condition(world: SimulatedPod, type: string): string | undefined {
  return world.status?.conditions?.find((each) => each.type === type)?.status;
}

/** Hundreds of lives of a pod: seconds of CPU, of which a busy machine gives little. */
const patience = { timeout: 60_000 };
const runs = { numRuns: Number(process.env['BERTH_PROPERTY_RUNS'] ?? 200) };

test(
  'whatever happened, a pod that is left alone becomes ready or has ended, and then asks for nothing',
  patience,
  () => {
    fc.assert(
      fc.property(specs, fc.array(event(false), { maxLength: 80, size: 'max' }), (spec, events) => {
        const world = new SimulatedPod(testPod(spec));
        for (const each of events) happen(world, each);
        world.networkReady = true;
        // A liveness probe that failed is answered by a new container, not by a probe that passes again.
        world.settle();
        const plan = world.pass();
        expect(plan.steps).toEqual([]);
        expect(plan.cancel).toEqual([]);
        if (isOver(world)) {
          expect(world.containers.filter(({ state }) => state === 'running')).toEqual([]);
          expect(world.sandboxes.filter(({ ready }) => ready)).toEqual([]);
          expect(world.facts()).toMatchObject({ volumesPresent: false, released: true });
        } else {
          const states = world.status?.containerStatuses?.map(({ state }) => state) ?? [];
          expect(states.filter((state) => state?.waiting)).toEqual([]);
          // A container that ended well and stays down keeps its pod from being ready.
          expect(condition(world, 'Ready')).toBe(states.every((state) => state?.running) ? 'True' : 'False');
          expect(plan.waits).toEqual([]);
          expect(condition(world, 'PodResizeInProgress')).toBeUndefined();
        }
      }),
      runs,
    );
  },
);

test(
  'a deleted pod is forgotten at the end and leaves nothing, whatever happened before and meanwhile',
  patience,
  () => {
    fc.assert(
      fc.property(
        specs,
        fc.array(event(true), { maxLength: 80, size: 'max' }),
        fc.constantFrom(0, 1, 30),
        (spec, events, grace) => {
          const world = new SimulatedPod(testPod(spec));
          for (const each of events) {
            if (world.plan?.next === 'forget') break;
            happen(world, each);
          }
          world.terminate(grace);
          expect(world.settle().next).toBe('forget');
          expect(world.containers).toEqual([]);
          expect(world.sandboxes).toEqual([]);
          expect(world.facts()).toMatchObject({ volumesPresent: false, released: true });
          expect(isOver(world)).toBe(true);
        },
      ),
      runs,
    );
  },
);

test('a pod that nobody names any more leaves nothing', patience, () => {
  fc.assert(
    fc.property(specs, fc.array(event(false), { maxLength: 40, size: 'max' }), (spec, events) => {
      const world = new SimulatedPod(testPod(spec));
      for (const each of events) happen(world, each);
      world.restartAgent();
      world.desired = undefined;
      world.sourcesSynced = false;
      expect(world.pass().steps).toEqual([]);
      world.sourcesSynced = true;
      expect(world.settle().next).toBe('forget');
      expect([world.containers, world.sandboxes]).toEqual([[], []]);
      expect(world.facts()).toMatchObject({ volumesPresent: false, released: true });
    }),
    runs,
  );
});

test('sidecars run before the containers they serve and stop after them, in reverse order', patience, () => {
  fc.assert(
    fc.property(specs, fc.constantFrom(1, 30), (spec, grace) => {
      const world = new SimulatedPod(testPod(spec));
      world.settle();
      const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
      const order = [...sidecars, ...spec.containers].map(({ name }) => name);
      const starts = world.history.filter((entry) => entry.startsWith('+')).map((entry) => entry.slice(1));
      expect(starts.filter((name) => order.includes(name))).toEqual(order);
      world.history.length = 0;
      world.terminate(grace);
      world.settle();
      const ends = world.history.map((entry) => entry.slice(1)).filter((name) => name !== 'debug');
      expect(ends.slice(0, spec.containers.length).toSorted()).toEqual(spec.containers.map(({ name }) => name));
      expect(ends.slice(spec.containers.length)).toEqual(sidecars.map(({ name }) => name).toReversed());
    }),
    runs,
  );
});
