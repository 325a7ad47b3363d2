import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errnoOf } from '../../../base/errors.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { untilAsync } from '../../support/until-async.js';
import type { PodLine } from '../agent-run.js';
import { pidsNaming } from '../machine-traces.js';
import { container, podManifest, script } from '../pod-objects.js';
import { SharedAgent } from '../shared-agent.js';

/** Stands before crun: dies at the verb that the file `fault` names, once; before it does anything, or `after` so many seconds of it. */
const faultyCrun = (dir: string): string => `#!/bin/sh
read -r verb after 2>/dev/null < ${dir}/fault
for word in "$@"; do
  if [ -n "$verb" ] && [ "$word" = "$verb" ]; then
    rm ${dir}/fault
    if [ -n "$after" ]; then
      /usr/bin/crun "$@" &
      sleep "$after"
      kill -KILL $!
    fi
    kill -KILL $$
  fi
done
exec /usr/bin/crun "$@"
`;

const shared = SharedAgent.use(
  (config) => ({
    ...config,
    limits: { ...config.limits, restartBackoffMaxMs: 1000 },
    runtime: { ...config.runtime, ociRuntimes: { crun: join(config.paths.stateDir, '..', 'bin', 'crun') } },
  }),
  async (world) => {
    const bin = join(world.dir, 'bin');
    await mkdir(bin);
    await writeFile(join(bin, 'crun'), faultyCrun(bin));
    await chmod(join(bin, 'crun'), 0o755);
  },
);

const main = (pod: PodLine) => pod.status.containerStatuses?.find((status) => status.name === 'main');
const idOf = (pod: PodLine): string => main(pod)?.containerID?.replace('berth://', '') ?? '';

const ready = (name: string, spec = {}): Promise<PodLine> =>
  shared.ready(name, { containers: [container('main')], ...spec });

const again = (name: string): Promise<PodLine> =>
  shared.run.untilPod(name, 'runs anew', (pod) => pod.ready && (main(pod)?.restartCount ?? 0) === 1);

async function processesOf(id: string): Promise<number[]> {
  const place = `/sys/fs/cgroup/pids/${shared.world.bridge}`;
  // Of other pods some may be going meanwhile: what is not there any more is nothing to fail for.
  const { stdout } = await tryHostProgram(['find', place, '-type', 'd', '-name', `*${id}*`]);
  const texts = await Promise.all(
    stdout
      .toString()
      .split('\n')
      .filter(Boolean)
      .map((folder) => readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => '')),
  );
  return texts.join('\n').split('\n').filter(Boolean).map(Number);
}

/** Few pods at a time: what nobody announces is found by looking at one pod after another. */
async function gone(name: string): Promise<void> {
  await shared.run.delete(name, 1);
  await shared.run.until(`pod ${name} is gone`, () => shared.run.find(name) === undefined);
}

/** One that ended with another of them is as it should be. */
function kill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (err) {
      if (errnoOf(err) !== 'ESRCH') throw err;
    }
  }
}

describe('programs and processes that are killed', () => {
  test.each([
    ['create', ''],
    ['create', ' 0.004'],
    ['create', ' 0.012'],
    ['start', ''],
    ['start', ' 0.002'],
    ['delete', ''],
    ['delete', ' 0.002'],
  ])('crun at its %s%s', async (verb, after) => {
    const name = `crun-${verb}${after.trim().replaceAll('.', '-')}`;
    const fault = join(shared.world.dir, 'bin', 'fault');
    if (verb !== 'delete') {
      await writeFile(fault, `${verb}${after}\n`);
      await ready(name);
      expect(existsSync(fault)).toBe(false);
      // Killed in the middle it may have done its work already: then there is nothing to tell.
      if (after === '') expect(shared.run.eventsOf(name).join('\n')).toMatch(/Failed: Error: /);
    } else await ready(name);
    await writeFile(fault, `delete${verb === 'delete' ? after : ''}\n`);
    await gone(name);
    await rm(fault, { force: true });
  });

  test('the process of a container', async () => {
    const pod = await ready('shot');
    kill(await processesOf(idOf(pod)));
    const after = await again('shot');
    expect(main(after)?.lastState?.terminated).toMatchObject({ exitCode: 137, reason: 'Error' });
    expect(after.ip).toBe(pod.ip);
    await gone('shot');
  });

  test('conmon, and conmon with all of the container', async () => {
    const pod = await ready('unwatched');
    const conmon = await pidsNaming('conmon', idOf(pod));
    expect(conmon).toHaveLength(1);
    kill(conmon);
    const after = await again('unwatched');
    expect(await processesOf(idOf(pod))).toEqual([]);
    expect(main(after)?.lastState?.terminated?.exitCode).not.toBe(0);
    kill([...(await pidsNaming('conmon', idOf(after))), ...(await processesOf(idOf(after)))]);
    await shared.run.untilPod('unwatched', 'runs once more', (line) => line.ready && main(line)?.restartCount === 2);
  });

  test('the first process of a shared PID namespace', async () => {
    const pod = await ready('headless', {
      shareProcessNamespace: true,
      containers: [container('main'), container('other')],
    });
    const sandboxes = await readdir(join(shared.world.config.paths.runDir, 'ns'));
    const inits = (await Promise.all(sandboxes.map((id) => processesOf(id)))).flat();
    const init = [];
    for (const pid of inits) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (command.startsWith('/init')) init.push(pid);
    }
    expect(init).toHaveLength(1);
    kill(init);
    const after = await again('headless');
    expect(after.uid).toBe(pod.uid);
    expect(shared.run.eventsOf('headless')).toContain(
      'SandboxChanged: Pod sandbox changed, it will be killed and re-created.',
    );
    await gone('headless');
  });

  test.each([
    ['net', 'unmounted'],
    ['ipc', 'unmounted and deleted'],
    ['uts', 'deleted with its folder'],
  ])('a namespace that someone takes away: %s, %s', async (type, how) => {
    const folder = join(shared.world.config.paths.runDir, 'ns');
    const before = new Set(await readdir(folder));
    const pod = await ready('cut-off');
    const [id = ''] = (await readdir(folder)).filter((name) => !before.has(name));
    const types = how.endsWith('folder') ? await readdir(join(folder, id)) : [type];
    for (const each of types) await hostProgram(['umount', join(folder, id, each)]);
    if (how.includes('and deleted')) await rm(join(folder, id, type));
    if (how.endsWith('folder')) await rm(join(folder, id), { recursive: true });
    const after = await again('cut-off');
    expect(shared.run.eventsOf('cut-off').join('\n')).toContain('SandboxChanged: ');
    expect(after.uid).toBe(pod.uid);
    await untilAsync(
      'the old namespaces are gone',
      async () => !(await readFile('/proc/self/mountinfo', 'utf8')).includes(`/ns/${id}/`),
    );
    await shared.run.sh('cut-off', 'main', 'ip route get 192.0.2.1');
    await gone('cut-off');
  });
});

describe.concurrent('what a pod refers to', () => {
  test('a key that is missing holds one container, until it is there', async () => {
    const { run } = shared;
    const map = (data: object): string =>
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'late' }, data });
    await run.apply(map({ other: 'x' }));
    const env = [{ name: 'KEY', valueFrom: { configMapKeyRef: { name: 'late', key: 'wanted' } } }];
    await run.apply(podManifest('keyless', { containers: [container('main', { env }), container('other')] }));
    const stuck = await run.untilPod(
      'keyless',
      'is stuck',
      (pod) => main(pod)?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    expect(stuck.waits).toContain("start-container container main: couldn't find key wanted in ConfigMap default/late");
    await run.untilPod(
      'keyless',
      'runs the other container',
      (pod) => pod.status.containerStatuses?.[1]?.state?.running !== undefined,
    );
    await run.apply(map({ wanted: 'here' }));
    await run.untilPod('keyless', 'is ready', (pod) => pod.ready);
    expect(await run.sh('keyless', 'main', 'echo $KEY')).toBe('here');
  });

  test.each([
    {
      name: 'never-pulled',
      image: 'localhost/none/such:1',
      imagePullPolicy: 'Never' as const,
      reason: 'ErrImageNeverPull',
      says: 'is not present with pull policy of Never',
    },
    {
      name: 'no-registry',
      image: '127.0.0.1:1/none/such:1',
      imagePullPolicy: 'IfNotPresent' as const,
      reason: 'ImagePullBackOff',
      says: 'refused',
    },
    {
      name: 'no-image-name',
      image: 'UPPER//case',
      imagePullPolicy: 'IfNotPresent' as const,
      reason: 'InvalidImageName',
      says: 'UPPER//case',
    },
  ])('an image that cannot be had: $reason', async ({ name, image, imagePullPolicy, reason, says }) => {
    const { run } = shared;
    await run.apply(podManifest(name, { containers: [{ name: 'main', image, imagePullPolicy }] }));
    const stuck = await run.untilPod(name, 'is stuck', (pod) => main(pod)?.state?.waiting?.reason === reason);
    expect(stuck.waits[0]).toMatch(new RegExp(`^ensure-image image ${image}: .*${says}`));
    expect(main(stuck)?.state?.waiting?.message).toContain(says);
    expect(stuck.phase).toBe('Pending');
    // The sandbox was there before the image was looked for.
    expect(stuck.status.conditions?.find(({ type }) => type === 'PodReadyToStartContainers')?.status).toBe('True');
    if (reason === 'ImagePullBackOff') {
      const events = run.eventsOf(name).join('\n');
      expect(events).toMatch(/^Failed: Failed to pull image/m);
      expect(events).toMatch(/^BackOff: Back-off pulling image/m);
    }
  });
});

test('an agent killed in the middle of a burst finds its pods', async () => {
  const names = Array.from({ length: 20 }, (_, at) => `burst-${at}`);
  for (const name of names) await shared.run.apply(podManifest(name, { containers: [container('main')] }));
  await shared.run.until('some are ready', (run) => names.filter((name) => run.find(name)?.ready).length >= 4);
  const before = new Map(
    names.flatMap((name) => {
      const pod = shared.run.find(name);
      return pod?.ready ? [[name, pod.ip] as const] : [];
    }),
  );
  const run = await shared.restart();
  await run.until('all are ready', () => names.every((name) => run.find(name)?.ready), 60_000);
  expect(names.filter((name) => run.pod(name).restarts !== 0)).toEqual([]);
  for (const [name, ip] of before) expect(run.pod(name)).toMatchObject({ ip, restarts: 0 });
  expect(new Set(names.map((name) => run.pod(name).ip)).size).toBe(20);
});

test('an agent told to stop while it starts pods leaves them in good order', async () => {
  const names = Array.from({ length: 8 }, (_, at) => `late-${at}`);
  for (const name of names) await shared.run.apply(podManifest(name, { containers: [container('main')] }));
  await shared.run.until('one is ready', (run) => names.some((name) => run.find(name)?.ready));
  const run = await shared.stopAndStart();
  await run.until('all are ready', () => names.every((name) => run.find(name)?.ready));
  expect(names.filter((name) => run.pod(name).restarts !== 0)).toEqual([]);
  for (const name of names) await gone(name);
});

test('pods start again after a reboot', async () => {
  await shared.run.apply(podManifest('finished', { restartPolicy: 'Never', containers: [script('main', 'exit 0')] }));
  await shared.run.untilPod('finished', 'has succeeded', (pod) => pod.phase === 'Succeeded');
  const job = podManifest('job', { restartPolicy: 'OnFailure', containers: [script('main', 'exit 0')] });
  await shared.world.write('job.yaml', job);
  await shared.run.untilPod('job', 'has succeeded', (pod) => pod.phase === 'Succeeded');
  await shared.run.kill();
  await shared.world.reboot();
  const run = await shared.restart();
  await run.until(
    'the burst is ready again',
    () => [...run.pods.values()].filter((pod) => pod.name.startsWith('burst-') && pod.ready).length === 20,
    90_000,
  );
  const pod = run.pod('burst-3');
  expect(main(pod)?.restartCount).toBe(1);
  expect(run.pod('finished')).toMatchObject({ phase: 'Succeeded', restarts: 0 });
  expect(run.pod('job')).toMatchObject({ phase: 'Succeeded', restarts: 0 });
  await shared.world.remove('job.yaml');
});

test('an agent killed in the middle of the end of many pods ends the rest', async () => {
  const burst = [...shared.run.pods.values()].filter((pod) => pod.name.startsWith('burst-'));
  expect(burst).toHaveLength(20);
  for (const { name } of burst) await shared.run.delete(name, 1);
  await shared.run.until('some are gone', (run) => burst.filter(({ uid }) => !run.pods.has(uid)).length >= 4);
  const run = await shared.restart();
  await run.until('all are gone', () => burst.every(({ uid }) => !run.pods.has(uid)));
});
