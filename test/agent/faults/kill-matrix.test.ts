import { expect, test } from 'vitest';
import { mappedPort } from '../../support/mapped-port.js';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld, sampleImage } from '../agent-world.js';

/** A pod that has a bit of everything that could be left behind. */
const manifest = (hostPort: number): string => `
apiVersion: v1
kind: Secret
metadata: { name: door }
stringData: { password: sesame }
---
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
    - { name: first, image: ${sampleImage}, command: [touch, /scratch/made], volumeMounts: [{ name: scratch, mountPath: /scratch }] }
  containers:
    - name: main
      image: ${sampleImage}
      command: [sh, -c, "test -f /scratch/made && exec sleep 1000000"]
      ports: [{ containerPort: 80, hostPort: ${hostPort} }]
      volumeMounts:
        - { name: scratch, mountPath: /scratch }
        - { name: door, mountPath: /door }
        - { name: disk, mountPath: /sub, subPath: inside }
  volumes:
    - { name: scratch, emptyDir: { medium: Memory } }
    - { name: disk, emptyDir: {} }
    - { name: door, secret: { secretName: door } }
`;

interface Points {
  readonly starting: readonly string[];
  readonly stopping: readonly string[];
}

/** One whole life without a crash tells which points there are. */
async function findPoints(): Promise<Points> {
  await using world = await AgentWorld.open();
  await using run = await world.start();
  await run.untilStarted();
  await world.write('web.yaml', manifest(mappedPort()));
  await run.untilReady('web');
  const starting = [...new Set(run.points)];
  const seen = run.points.length;
  await world.remove('web.yaml');
  await run.untilGone();
  expect(await world.leftovers()).toEqual([]);
  return { starting, stopping: [...new Set(run.points.slice(seen))] };
}

const points = await findPoints();

/** Several worlds at once, each with a host port of its own: most of a life is waiting. */
let lastPort = mappedPort();
const manifestOfOne = (): string => manifest(++lastPort);

test('the matrix covers start and stop', () => {
  for (const point of [
    'before create-sandbox',
    'sandbox-pinned',
    'sandbox-attached',
    'container-mounted',
    'container-created',
    'after start-container',
  ]) {
    expect(points.starting).toContain(point);
  }
  for (const point of [
    'before kill-container',
    'sandbox-detached',
    'container-removed',
    'after unmount-volumes',
    'before release-pod',
  ]) {
    expect(points.stopping).toContain(point);
  }
});

test.concurrent.each(points.starting)(
  'killed at "%s" of a start: the pod becomes ready all the same and leaves nothing',
  async (point) => {
    await using world = await AgentWorld.open();
    await world.write('web.yaml', manifestOfOne());
    const dying = await world.start(point);
    await dying.ended;
    expect(dying.points.at(-1)).toBe(point);
    await using run = await world.start();
    await run.untilReady('web');
    await endCleanly(world, run);
  },
);

test.concurrent.each(points.stopping)(
  'killed at "%s" of a stop: the pod goes all the same and leaves nothing',
  async (point) => {
    await using world = await AgentWorld.open();
    await world.write('web.yaml', manifestOfOne());
    const dying = await world.start(point);
    // Some points of a stop are passed in a start too (the init container is cleared away): then it has died already.
    await Promise.race([dying.untilReady('web').catch(() => {}), dying.ended]);
    await world.remove('web.yaml');
    await dying.ended;
    await using run = await world.start();
    await run.untilStarted();
    await run.untilGone();
    expect(await world.leftovers()).toEqual([]);
  },
);

async function endCleanly(world: AgentWorld, run: AgentRun): Promise<void> {
  await world.remove('web.yaml');
  await run.untilGone();
  expect(await world.leftovers()).toEqual([]);
}
