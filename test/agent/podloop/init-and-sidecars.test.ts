import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { container, idle, podManifest, script } from '../pod-objects.js';
import { SharedAgent } from '../shared-agent.js';
import type { PodLine } from '../agent-run.js';

const shared = SharedAgent.use((config) => ({ ...config, limits: { ...config.limits, restartBackoffMaxMs: 1000 } }));

const say = (word: string): string => `echo ${word} >> /notes/log`;
/** Tells when it hears what it is told, and when it is told to stop. */
const speaking = (name: string): string =>
  `trap '${say(`${name}-down`)}; exit 0' TERM; ${say(`${name}-up`)}; touch /tmp/up; sleep 1000000 & wait`;
const isUp = { exec: { command: ['test', '-f', '/tmp/up'] }, periodSeconds: 1, failureThreshold: 60 };
const condition = (pod: PodLine, type: string): string | undefined =>
  pod.status.conditions?.find((each) => each.type === type)?.status;
const initOf = (pod: PodLine, name: string) => pod.status.initContainerStatuses?.find((status) => status.name === name);

describe.concurrent('init containers', () => {
  test('run one after another before the rest, and the conditions follow', async () => {
    const { run } = shared;
    const notes = await shared.notes('ordered');
    await run.apply(
      podManifest(
        'ordered',
        notes.in({
          initContainers: [
            script('one', `until [ -e /notes/go ]; do sleep 0.1; done; ${say('one')}`),
            script('two', say('two')),
          ],
          containers: [script('main', `${say('main')}; ${idle}`)],
        }),
      ),
    );
    await run.untilPod('ordered', 'runs its first', (pod) => initOf(pod, 'one')?.state?.running !== undefined);
    await writeFile(join(notes.path, 'go'), '');
    const ready = await run.untilPod('ordered', 'is ready', (pod) => pod.ready);
    await notes.untilLines(['one', 'two', 'main']);
    expect(ready.status.initContainerStatuses?.map((status) => status.state?.terminated?.reason)).toEqual([
      'Completed',
      'Completed',
    ]);
    const history = run.historyOf('ordered');
    const waiting = history.find((pod) => condition(pod, 'PodReadyToStartContainers') === 'True');
    expect(waiting && condition(waiting, 'Initialized')).toBe('False');
    expect(waiting?.phase).toBe('Pending');
    expect(waiting?.ip).not.toBe('');
    const during = history.find((pod) => initOf(pod, 'one')?.state?.running);
    expect(during?.status.containerStatuses?.[0]?.state?.waiting?.reason).toBe('PodInitializing');
    expect(during?.waits.some((wait) => wait.startsWith('init-container container one'))).toBe(true);
    expect(history.map((pod) => pod.phase).filter((phase, at, all) => phase !== all[at - 1])).toEqual([
      'Pending',
      'Running',
    ]);
  });

  test.each(['Always', 'OnFailure'] as const)('one that fails is run again with restart policy %s', async (policy) => {
    const { run } = shared;
    const name = `stumbles-${policy.toLowerCase()}`;
    const notes = await shared.notes(name);
    const thirdTime = `${say('try')}; test $(wc -l < /notes/log) -ge 3`;
    await run.apply(
      podManifest(
        name,
        notes.in({
          restartPolicy: policy,
          initContainers: [script('setup', thirdTime)],
          containers: [container('main')],
        }),
      ),
    );
    await run.untilPod(name, 'waits for its init container to be tried again', (pod) => {
      const { state, lastState } = initOf(pod, 'setup') ?? {};
      return state?.waiting?.reason === 'CrashLoopBackOff' && lastState?.terminated?.exitCode === 1;
    });
    const ready = await run.untilPod(name, 'is ready', (pod) => pod.ready);
    expect(initOf(ready, 'setup')).toMatchObject({ restartCount: 2, ready: true });
    expect(ready.restarts).toBe(0);
  });

  test('one that fails ends the pod with restart policy Never', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('broken', {
        restartPolicy: 'Never',
        initContainers: [script('setup', 'echo no luck > /dev/termination-log; exit 3'), container('later')],
        containers: [container('main')],
      }),
    );
    const failed = await run.untilPod('broken', 'has failed', (pod) => pod.phase === 'Failed');
    expect(initOf(failed, 'setup')?.state?.terminated).toMatchObject({
      exitCode: 3,
      reason: 'Error',
      message: 'no luck\n',
    });
    expect(failed.status.containerStatuses?.[0]?.state?.waiting?.reason).toBe('PodInitializing');
    expect(condition(failed, 'Initialized')).toBe('False');
    expect(run.historyOf('broken').some((pod) => pod.status.containerStatuses?.[0]?.state?.running)).toBe(false);
    await run.untilPod('broken', 'waits for nothing', (pod) => pod.waits.length === 0);
  });
});

describe.concurrent('sidecars', () => {
  test('start in order once started, restart alone, and stop in reverse after the rest', async () => {
    const { run } = shared;
    const notes = await shared.notes('sidecars');
    const afterUp = 'until [ -e /tmp/up ]; do sleep 0.1; done';
    await run.apply(
      podManifest(
        'sidecars',
        notes.in({
          terminationGracePeriodSeconds: 20,
          initContainers: [
            script('first', `(${afterUp}; ${say('first-warm')}; touch /tmp/warm) & ${speaking('first')}`, {
              restartPolicy: 'Always',
              startupProbe: { ...isUp, exec: { command: ['test', '-f', '/tmp/warm'] } },
            }),
            script('setup', say('setup')),
            script('second', speaking('second'), { restartPolicy: 'Always', startupProbe: isUp }),
          ],
          containers: [script('main', speaking('main'), { readinessProbe: isUp })],
        }),
      ),
    );
    await run.untilPod('sidecars', 'is ready', (pod) => pod.ready);
    expect(await notes.lines()).toEqual(['first-up', 'first-warm', 'setup', 'second-up', 'main-up']);

    await run.exec('sidecars', 'second', 'kill', '-TERM', '1');
    const again = await run.untilPod(
      'sidecars',
      'runs its sidecar again',
      (pod) => pod.ready && initOf(pod, 'second')?.restartCount === 1,
    );
    expect(again.phase).toBe('Running');
    expect(again.restarts).toBe(0);
    expect(initOf(again, 'setup')?.restartCount).toBe(0);

    const before = (await notes.lines()).length;
    await run.delete('sidecars');
    await run.until('the pod is gone', () => run.find('sidecars') === undefined);
    expect((await notes.lines()).slice(before)).toEqual(['main-down', 'second-down', 'first-down']);
  });

  test('run their hooks beside the end of those they serve, and stop after both', async () => {
    const { run } = shared;
    const notes = await shared.notes('hooked');
    const afterHook = `until grep -q hook /notes/log; do sleep 0.1; done; ${say('main-down')}; exit 0`;
    const lifecycle = { preStop: { exec: { command: ['sh', '-c', say('hook')] } } };
    await run.apply(
      podManifest(
        'hooked',
        notes.in({
          terminationGracePeriodSeconds: 60,
          initContainers: [
            script('side', speaking('side'), { restartPolicy: 'Always', lifecycle, startupProbe: isUp }),
          ],
          containers: [script('main', `trap '${afterHook}' TERM; ${say('main-up')}; sleep 1000000 & wait`)],
        }),
      ),
    );
    await run.untilPod('hooked', 'is ready', (pod) => pod.ready);
    await expect.poll(() => notes.lines(), { timeout: 60_000 }).toContain('main-up');
    await run.delete('hooked');
    await run.until('the pod is gone', () => run.find('hooked') === undefined);
    expect(await notes.lines()).toEqual(['side-up', 'main-up', 'hook', 'main-down', 'side-down']);
  });

  test.each([
    { policy: 'Never' as const, exit: 0, phase: 'Succeeded' },
    { policy: 'OnFailure' as const, exit: 0, phase: 'Succeeded' },
    { policy: 'Never' as const, exit: 4, phase: 'Failed' },
  ])('do not hold a pod whose work ended: $policy and exit code $exit', async ({ policy, exit, phase }) => {
    const { run } = shared;
    const name = `job-${policy.toLowerCase()}-${exit}`;
    const sidecar = "trap 'exit 9' TERM; touch /tmp/up; sleep 1000000 & wait";
    await run.apply(
      podManifest(name, {
        restartPolicy: policy,
        // What a sidecar exits with does not count.
        initContainers: [script('side', sidecar, { restartPolicy: 'Always', startupProbe: isUp })],
        containers: [script('work', `exit ${exit}`)],
      }),
    );
    const over = await run.untilPod(name, 'is over', (pod) => pod.phase === phase);
    expect(initOf(over, 'side')?.state?.terminated?.exitCode).toBe(9);
    expect(initOf(over, 'side')?.restartCount).toBe(0);
    expect(over.status.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(exit);
    expect(condition(over, 'Ready')).toBe('False');
    expect(condition(over, 'PodReadyToStartContainers')).toBe('False');
  });
});
