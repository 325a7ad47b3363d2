import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { container, idle, podManifest, script } from '../pod-objects.js';
import { SharedAgent } from '../shared-agent.js';
import { otherImage } from '../agent-world.js';
import type { PodLine } from '../agent-run.js';

const shared = SharedAgent.use((config) => ({ ...config, limits: { ...config.limits, restartBackoffMaxMs: 1000 } }));

const say = (word: string): string => `echo ${word} >> /notes/log`;
const main = (pod: PodLine) => pod.status.containerStatuses?.find((status) => status.name === 'main');
const condition = (pod: PodLine, type: string) => pod.status.conditions?.find((each) => each.type === type);

describe.concurrent('restart policies', () => {
  test('Always: a container that ends is started again, later and later, and the wait says why', async () => {
    const { run } = shared;
    await run.apply(podManifest('always', { containers: [script('main', 'exit 0')] }));
    const looping = await run.untilPod(
      'always',
      'waits for its next start',
      (pod) => main(pod)?.state?.waiting?.reason === 'CrashLoopBackOff' && (main(pod)?.restartCount ?? 0) >= 1,
    );
    expect(looping.phase).toBe('Running');
    expect(main(looping)?.state?.waiting?.message).toMatch(
      /^back-off 1s restarting failed container=main pod=always_default\(.*\)$/,
    );
    expect(main(looping)?.lastState?.terminated).toMatchObject({ exitCode: 0, reason: 'Completed' });
    expect(looping.waits[0]).toContain('restart-back-off container main');
    await run.untilPod('always', 'was started four times', (pod) => (main(pod)?.restartCount ?? 0) >= 3);
    expect(run.eventsOf('always').filter((event) => event.startsWith('BackOff: Back-off restarting')).length).not.toBe(
      0,
    );
  });

  test('OnFailure: only an end with an error is made good', async () => {
    const { run } = shared;
    const notes = await shared.notes('on-failure');
    await run.apply(
      podManifest(
        'on-failure',
        notes.in({
          restartPolicy: 'OnFailure',
          containers: [script('main', `${say('try')}; test $(wc -l < /notes/log) -ge 2`)],
        }),
      ),
    );
    const over = await run.untilPod('on-failure', 'has succeeded', (pod) => pod.phase === 'Succeeded');
    expect(main(over)).toMatchObject({ restartCount: 1, state: { terminated: { exitCode: 0 } } });
    expect(main(over)?.lastState?.terminated?.exitCode).toBe(1);
    expect(condition(over, 'Initialized')).toMatchObject({ status: 'True', reason: 'PodCompleted' });
    expect(condition(over, 'Ready')).toMatchObject({ status: 'False', reason: 'PodCompleted' });
  });

  test('Never: the pod has failed when one container has, after the others have ended', async () => {
    const { run } = shared;
    const notes = await shared.notes('never');
    await run.apply(
      podManifest(
        'never',
        notes.in({
          restartPolicy: 'Never',
          containers: [script('other', 'until [ -e /notes/go ]; do sleep 0.1; done'), script('main', 'exit 3')],
        }),
      ),
    );
    const first = await run.untilPod(
      'never',
      'has one that failed',
      (pod) => main(pod)?.state?.terminated !== undefined,
    );
    expect(first.phase).toBe('Running');
    await writeFile(join(notes.path, 'go'), '');
    const over = await run.untilPod('never', 'has failed', (pod) => pod.phase === 'Failed');
    expect(main(over)).toMatchObject({ restartCount: 0, state: { terminated: { exitCode: 3, reason: 'Error' } } });
    expect(condition(over, 'Ready')).toMatchObject({ status: 'False', reason: 'PodFailed' });
  });

  test('a program that is not there fails the start: the pod has failed where nothing starts again, and tries again elsewhere', async () => {
    const { run } = shared;
    const misspelt = { ...script('main', ''), command: ['/bin/no-such-program'] };
    const asked = { ready: false, restartCount: 0 };
    await run.apply(podManifest('misspelt', { restartPolicy: 'Never', containers: [misspelt] }));
    const over = await run.untilPod('misspelt', 'has failed', (pod) => pod.phase === 'Failed');
    const ended = {
      exitCode: 128,
      reason: 'StartError',
      message: expect.stringContaining('/bin/no-such-program') as string,
    };
    expect(main(over)).toMatchObject({ ...asked, state: { terminated: ended } });
    expect(run.eventsOf('misspelt').join()).toContain('/bin/no-such-program');

    await run.apply(podManifest('retried', { containers: [{ ...misspelt, workingDir: '/bin/busybox' }] }));
    const again = await run.untilPod(
      'retried',
      'waits for its next start',
      (pod) => main(pod)?.state?.waiting?.reason === 'CrashLoopBackOff' && (main(pod)?.restartCount ?? 0) >= 1,
    );
    expect(main(again)?.lastState?.terminated).toMatchObject({ exitCode: 128, reason: 'StartError' });
    expect(again.phase).toBe('Running');
  });

  test('a container restart rule goes before the policies', async () => {
    const { run } = shared;
    const notes = await shared.notes('rules');
    await run.apply(
      podManifest(
        'rules',
        notes.in({
          restartPolicy: 'Never',
          containers: [
            script('main', `${say('try')}; test $(wc -l < /notes/log) -ge 2 || exit 42; exit 7`, {
              restartPolicy: 'Never',
              restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }],
            }),
          ],
        }),
      ),
    );
    const over = await run.untilPod('rules', 'has failed', (pod) => pod.phase === 'Failed');
    expect(main(over)).toMatchObject({ restartCount: 1, state: { terminated: { exitCode: 7 } } });
  });

  test('RestartAllContainers starts the pod over in its sandbox', async () => {
    const { run } = shared;
    const notes = await shared.notes('all-over');
    const afterOther = 'until [ $(grep -c other /notes/log) -gt $(grep -c main /notes/log) ]; do sleep 0.1; done';
    await run.apply(
      podManifest(
        'all-over',
        notes.in({
          restartPolicy: 'Never',
          initContainers: [script('setup', say('setup'))],
          containers: [
            script('other', `${say('other')}; ${idle}`),
            script('main', `${afterOther}; ${say('main')}; test $(grep -c main /notes/log) -ge 2 || exit 99; ${idle}`, {
              restartPolicy: 'Never',
              restartPolicyRules: [{ action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [99] } }],
            }),
          ],
        }),
      ),
    );
    const ready = await run.untilPod('all-over', 'is ready again', (pod) => pod.ready && main(pod)?.restartCount === 1);
    await notes.untilLines(['setup', 'other', 'main', 'setup', 'other', 'main']);
    expect(ready.status.initContainerStatuses?.[0]?.restartCount).toBe(1);
    expect(ready.status.containerStatuses?.map(({ restartCount }) => restartCount)).toEqual([1, 1]);
    expect(condition(ready, 'AllContainersRestarting')?.status).toBe('False');
    const history = run.historyOf('all-over');
    expect(history.some((pod) => condition(pod, 'AllContainersRestarting')?.status === 'True')).toBe(true);
    expect(new Set(history.map((pod) => pod.ip).filter(Boolean)).size).toBe(1);
    const at = history.findIndex((pod) => condition(pod, 'Initialized')?.status === 'True');
    expect(history.slice(at).every((pod) => condition(pod, 'Initialized')?.status === 'True')).toBe(true);
  });
});

describe.concurrent('changes of a pod', () => {
  test('a new label restarts nothing, a new image restarts that container in place', async () => {
    const { run } = shared;
    const spec = { containers: [container('main'), container('other')] };
    await run.apply(podManifest('edited', spec, { labels: { tier: 'one' } }));
    const before = await run.untilPod('edited', 'is ready', (pod) => pod.ready);
    await run.apply(podManifest('edited', spec, { labels: { tier: 'two' } }));
    const image = { containers: [container('main', { image: otherImage }), container('other')] };
    await run.apply(podManifest('edited', image, { labels: { tier: 'two' } }));
    const after = await run.untilPod(
      'edited',
      'runs the new image',
      (pod) => pod.ready && main(pod)?.restartCount === 1,
    );
    expect(after.uid).toBe(before.uid);
    expect(after.ip).toBe(before.ip);
    expect(main(after)?.image).toBe(otherImage);
    const other = (pod: PodLine) => pod.status.containerStatuses?.[1];
    expect(other(after)?.containerID).toBe(other(before)?.containerID);
    expect(run.eventsOf('edited')).toContain('Killing: Container main definition changed');
  });

  test('an ephemeral container joins a running one, once', async () => {
    const { run } = shared;
    const spec = { containers: [container('main')] };
    await run.apply(podManifest('debugged', spec));
    const before = await run.untilPod('debugged', 'is ready', (pod) => pod.ready);
    const debug = script('debug', 'ps; exit 5', { terminationMessagePolicy: 'FallbackToLogsOnError' });
    const ephemeralContainers = [{ ...debug, targetContainerName: 'main' }];
    await run.apply(podManifest('debugged', { ...spec, ephemeralContainers }), true);
    const after = await run.untilPod(
      'debugged',
      'has run its ephemeral container',
      (pod) => pod.status.ephemeralContainerStatuses?.[0]?.state?.terminated !== undefined,
    );
    const [status] = after.status.ephemeralContainerStatuses ?? [];
    expect(status?.state?.terminated?.exitCode).toBe(5);
    expect(status?.state?.terminated?.message).toContain('sleep 1000000');
    expect(status?.restartCount).toBe(0);
    expect(after.ready).toBe(true);
    expect(main(after)?.containerID).toBe(main(before)?.containerID);
    expect(after.waits).toEqual([]);
  });

  test('termination messages come from the file, or after a failure from the log', async () => {
    const { run } = shared;
    await run.apply(
      podManifest('last-words', {
        restartPolicy: 'Never',
        containers: [
          script('file', 'echo -n from the file > /words', { terminationMessagePath: 'words' }),
          script('log', 'echo first line; echo second line >&2; exit 1', {
            terminationMessagePolicy: 'FallbackToLogsOnError',
          }),
          script('long', 'yes x | tr -d "\\n" | head -c 10000 > /dev/termination-log'),
          script('silent', 'echo not told; exit 1'),
          script('well', 'echo not told', { terminationMessagePolicy: 'FallbackToLogsOnError' }),
        ],
      }),
    );
    const over = await run.untilPod('last-words', 'has failed', (pod) => pod.phase === 'Failed');
    const message = (name: string) =>
      over.status.containerStatuses?.find((status) => status.name === name)?.state?.terminated?.message;
    expect(message('file')).toBe('from the file');
    expect(message('log')).toBe('first line\nsecond line\n');
    expect(message('long')).toBe('x'.repeat(((12 * 1024) / 5) | 0));
    expect(message('silent')).toBeUndefined();
    expect(message('well')).toBeUndefined();
  });
});
