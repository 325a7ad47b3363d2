import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { container, idle, podManifest, script } from '../pod-objects.js';
import { SharedAgent } from '../shared-agent.js';

/** Stands before the plugin of bridges: the network of one pod takes for ever. */
const slowBridge = `#!/bin/sh
case "$CNI_COMMAND $CNI_ARGS" in ADD*K8S_POD_NAME=early*) exec sleep 1000000 ;; esac
exec /usr/lib/cni/bridge
`;

const shared = SharedAgent.use(
  (config) => {
    const { paths } = config;
    return { ...config, paths: { ...paths, cniBinDirs: [join(paths.cniConfDir, 'bin'), ...paths.cniBinDirs] } };
  },
  async ({ config }) => {
    const { cniConfDir } = config.paths;
    await mkdir(join(cniConfDir, 'bin'));
    await writeFile(join(cniConfDir, 'bin', 'slow-bridge'), slowBridge, { mode: 0o755 });
    const list = join(cniConfDir, '10-test.conflist');
    await writeFile(list, (await readFile(list, 'utf8')).replace('"bridge"', '"slow-bridge"'));
  },
);
const say = (word: string): string => `echo ${word} >> /notes/log`;

async function gone(name: string, graceSeconds?: number): Promise<void> {
  const { run } = shared;
  await run.delete(name, graceSeconds);
  await run.until(`pod ${name} is gone`, () => run.find(name) === undefined);
}

describe.concurrent('a pod deleted', () => {
  test('while its sandbox is made', async () => {
    const { run } = shared;
    await run.apply(podManifest('early', { containers: [container('main')] }));
    await run.untilPod('early', 'has its sandbox made', (pod) =>
      pod.waits.some((wait) => wait.startsWith('create-sandbox')),
    );
    await gone('early');
    expect(run.historyOf('early').some((pod) => pod.phase !== 'Pending' && pod.phase !== 'Failed')).toBe(false);
  });

  test('while its image is pulled from a registry that does not answer', async () => {
    const { run } = shared;
    const registry = createServer(() => {}).listen(0, '127.0.0.1');
    await once(registry, 'listening');
    const { port } = registry.address() as AddressInfo;
    try {
      const image = `127.0.0.1:${port}/slow:1`;
      await run.apply(podManifest('pulling', { containers: [{ name: 'main', image }] }));
      const pulling = await run.untilPod('pulling', 'pulls', (pod) =>
        pod.waits.some((wait) => wait.startsWith('ensure-image')),
      );
      expect(pulling.status.conditions?.find(({ type }) => type === 'PodReadyToStartContainers')?.status).toBe('True');
      expect(pulling.ip).not.toBe('');
      await gone('pulling');
    } finally {
      registry.closeAllConnections();
      registry.close();
    }
  });

  test('while it waits for a volume', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('unmounted', {
        containers: [container('main', { volumeMounts: [{ name: 'secret', mountPath: '/secret' }] })],
        volumes: [
          { name: 'disk', emptyDir: { medium: 'Memory' } },
          { name: 'secret', secret: { secretName: 'nobody-made-it' } },
        ],
      }),
    );
    const waiting = await run.untilPod('unmounted', 'waits for its volume', (pod) =>
      pod.waits.some((wait) => wait.includes('secret "nobody-made-it" not found')),
    );
    expect(waiting.status.containerStatuses?.[0]?.state?.waiting?.reason).toBe('ContainerCreating');
    expect(waiting.waits[0]).toMatch(/^mount-volumes volumes: /);
    await gone('unmounted');
  });

  test('in a postStart hook that would take for ever', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('hooked', {
        containers: [container('main', { lifecycle: { postStart: { exec: { command: ['sleep', '1000000'] } } } })],
      }),
    );
    await run.until('the hook runs', () => run.eventsOf('hooked').includes('Started: Container started'));
    await gone('hooked');
  });

  test('in an init container that ignores the stop signal, without any grace', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('deaf', {
        terminationGracePeriodSeconds: 600,
        initContainers: [script('setup', "trap '' TERM; while true; do sleep 1; done")],
        containers: [container('main')],
      }),
    );
    await run.untilPod(
      'deaf',
      'runs its init container',
      (pod) => pod.status.initContainerStatuses?.[0]?.state?.running !== undefined,
    );
    // Waited for a tenth of the grace it had.
    await gone('deaf', 0);
  });
});

describe('pods of the manifest folder', () => {
  test('a changed manifest replaces the pod: the old one has ended before the new one starts', async () => {
    const { run, world } = shared;
    const notes = await shared.notes('replaced');
    const version = (word: string): string =>
      podManifest(
        'replaced',
        notes.in({
          terminationGracePeriodSeconds: 10,
          containers: [
            script(
              'main',
              `trap 'sleep 0.5; ${say(`${word}-down`)}; exit 0' TERM; ${say(`${word}-up`)}; sleep 1000000 & wait`,
            ),
          ],
        }),
      );
    await world.write('replaced.yaml', version('old'));
    const old = await run.untilPod('replaced', 'is ready', (pod) => pod.ready);
    await notes.untilLines(['old-up']);
    await world.write('replaced.yaml', version('new'));
    const young = await run.untilPod('replaced', 'is another pod', (pod) => pod.ready && pod.uid !== old.uid);
    await notes.untilLines(['old-up', 'old-down', 'new-up']);
    expect(run.pods.has(old.uid)).toBe(false);
    expect(young.restarts).toBe(0);
    await world.remove('replaced.yaml');
    await run.until('the pod is gone', () => run.find('replaced') === undefined);
  });

  test('a pod applied under a name that a manifest holds does not run beside it', async () => {
    const { run, world } = shared;
    await world.write('first.yaml', podManifest('twice', { containers: [container('main')] }));
    const first = await run.untilPod('twice', 'is ready', (pod) => pod.ready);
    await world.write('second.yaml', podManifest('twice', { containers: [container('main', { workingDir: '/tmp' })] }));
    await run.until('the second is told to be left out', () =>
      run.eventsOf('twice').some((event) => event.startsWith('FailedValidation')),
    );
    expect([...run.pods.values()].filter((pod) => pod.name === 'twice').map(({ uid }) => uid)).toEqual([first.uid]);
    await world.remove('second.yaml');
    await world.remove('first.yaml');
    await run.until('the pod is gone', () => run.find('twice') === undefined);
  });
});

test('an agent that is killed and starts again finds pods ready as they were', async () => {
  const pods = ['probed', 'started', 'unready'];
  const probe = (path: string) => ({
    ...{ exec: { command: ['test', '-e', path] }, periodSeconds: 1, failureThreshold: 1 },
    // An answer that comes late on a busy machine would be a failure too.
    timeoutSeconds: 30,
  });
  const specs = {
    probed: container('main', { readinessProbe: probe('/bin') }),
    started: script('main', idle, { startupProbe: probe('/bin'), livenessProbe: probe('/bin') }),
    unready: container('main', { readinessProbe: probe('/nothing') }),
  };
  for (const name of ['probed', 'started', 'unready'] as const)
    await shared.run.apply(podManifest(name, { containers: [specs[name]] }));
  await shared.run.untilReady('probed');
  await shared.run.untilReady('started');
  await shared.run.untilPod('unready', 'runs', (pod) => pod.phase === 'Running');
  const startedAt = (name: string): number =>
    Date.parse(shared.run.container(name, 'main').state?.running?.startedAt ?? '');
  // Only containers that ran for ten seconds keep their readiness.
  const ranLong = Math.max(...pods.map(startedAt)) + 12_000;
  await new Promise((resolve) => setTimeout(resolve, Math.max(ranLong - Date.now(), 0)));
  const run = await shared.restart();
  for (const name of pods) await run.untilPod(name, 'is back', (pod) => pod.phase === 'Running');
  await run.until('the probe of the unready pod has been asked', () => run.eventsOf('unready').length > 0);
  expect(run.historyOf('probed').filter((pod) => pod.phase !== '' && !pod.ready)).toEqual([]);
  expect(run.historyOf('started').filter((pod) => pod.phase !== '' && !pod.ready)).toEqual([]);
  expect(run.pod('probed').restarts + run.pod('started').restarts).toBe(0);
  expect(run.historyOf('unready').filter((pod) => pod.ready)).toEqual([]);
});
