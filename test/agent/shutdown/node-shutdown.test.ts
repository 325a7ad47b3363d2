import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemCriticalPriority, type PodSpec } from '../../../agent/api/index.js';
import { withDefaults } from '../../../agent/config/kubelet/index.js';
import { BusctlLogind } from '../../../agent/shutdown/index.js';
import { runProgram } from '../../../base/run-program.js';
import { canRunAgent } from '../agent-world.js';
import { podManifest, script } from '../pod-objects.js';
import { SharedAgent, type Notes } from '../shared-agent.js';
import { eventually } from '../../support/daemon.js';
import { LogindWorld, missingForLogind } from './logind-world.js';

const missing = missingForLogind();
const able = (await canRunAgent()) && missing.length === 0;
if (!able) console.warn(`SKIPPED: node shutdown needs root, crun, the compiled agent, ${missing.join(', ')}`);

/** One for each agent: one that shuts the machine down does nothing else any more. Opened before the agent starts. */
function useLogind(): { readonly world: LogindWorld; readonly holdsUp: () => Promise<boolean> } {
  let opened: LogindWorld | undefined;
  const world = (): LogindWorld => {
    if (!opened) throw new Error('logind has not been started');
    return opened;
  };
  beforeAll(async () => {
    opened = await LogindWorld.open();
    // The agent and its helpers find the bus as all programs do.
    process.env['DBUS_SYSTEM_BUS_ADDRESS'] = opened.address;
  });
  afterAll(async () => {
    delete process.env['DBUS_SYSTEM_BUS_ADDRESS'];
    await opened?.[Symbol.asyncDispose]();
  });
  return {
    get world() {
      return world();
    },
    holdsUp: async () => (await world().call('ListInhibitors')).includes('"shutdown" "kubelet"'),
  };
}

const slowMs = 60_000;
/** Tells that the pod can be told to end: before its trap is set it would hear nothing. */
const up = (name: string): string => `echo ${name} >> /notes/up`;

/** Writes its name when it is told to end, after some seconds. */
const ending = (notes: Notes, name: string, seconds: number): Partial<PodSpec> =>
  notes.in({
    containers: [
      script(
        'main',
        `trap 'sleep ${seconds}; echo ${name} ended >> /notes/log; exit 0' TERM; ${up(name)}; sleep 1000000 & wait`,
      ),
    ],
    terminationGracePeriodSeconds: 8,
  });

const untilUp = (notes: Notes, count: number): Promise<unknown> =>
  eventually('the pods hear', async () => (await notes.lines('up')).length === count, slowMs);

describe.skipIf(!able)('the shutdown of the machine', () => {
  const logind = useLogind();
  const kubelet = withDefaults({ shutdownGracePeriod: 20_000, shutdownGracePeriodCriticalPods: 10_000 });
  const agent = SharedAgent.use((config) => ({ ...config, kubelet }));

  test('waits for pods, those of low priority first, and goes on when all have ended', async () => {
    const { run } = agent;
    const { world: login, holdsUp } = logind;
    const notes = await agent.notes('order');
    const spec = (name: string, seconds: number): Partial<PodSpec> => ending(notes, name, seconds);
    await run.apply(podManifest('ordinary', spec('ordinary', 1)));
    await run.apply(podManifest('critical', { ...spec('critical', 0), priority: systemCriticalPriority }));
    await run.untilReady('ordinary');
    await run.untilReady('critical');
    await untilUp(notes, 2);
    await eventually('the agent holds shutdowns up', holdsUp, slowMs);
    let saidBefore = '';
    login.onStart = () => {
      saidBefore = readFileSync(join(notes.path, 'log'), 'utf8');
    };

    await login.call('PowerOff', 'b', 'false');
    await run.untilPod('ordinary', 'has ended', ({ phase }) => phase === 'Failed');
    await run.apply(podManifest('late', spec('late', 0)));
    const late = await run.untilPod('late', 'is refused', ({ phase }) => phase === 'Failed');
    expect(late.status).toMatchObject({
      reason: 'NodeShutdown',
      message: 'Pod was rejected: Pod was rejected as the node is shutting down.',
    });
    await eventually('the machine goes down', () => login.started.length > 0, slowMs);
    expect(login.started).toEqual(['poweroff.target']);
    expect(saidBefore).toBe('ordinary ended\ncritical ended\n');
    for (const name of ['ordinary', 'critical'])
      expect((await run.untilPod(name, 'has ended', ({ phase }) => phase === 'Failed')).status).toMatchObject({
        reason: 'Terminated',
        message: 'Pod was terminated in response to imminent node shutdown.',
        conditions: expect.arrayContaining([
          expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet' }),
        ]) as unknown[],
      });
    const state = await readFile(join(agent.world.config.paths.rootDir, 'graceful_node_shutdown_state'), 'utf8');
    expect(Object.keys(JSON.parse(state) as object)).toEqual(['startTime', 'endTime']);
    expect(run.events.map(({ reason }) => reason)).toContain('Shutdown');
    expect(await holdsUp()).toBe(false);
  });
});

describe.skipIf(!able)('with a time for each priority', () => {
  const logind = useLogind();
  const kubelet = withDefaults({
    shutdownGracePeriodByPodPriority: [
      { priority: 100_000, shutdownGracePeriodSeconds: 6 },
      { priority: 0, shutdownGracePeriodSeconds: 6 },
      { priority: 10_000, shutdownGracePeriodSeconds: 2 },
    ],
  });
  const agent = SharedAgent.use((config) => ({ ...config, kubelet }));

  test('pods end group by group; a shutdown that is called off is held up again, and pods are taken', async () => {
    const { run } = agent;
    const { world: login, holdsUp } = logind;
    const notes = await agent.notes('priorities');
    const deaf = notes.in({
      containers: [
        script('main', `trap 'echo middle told >> /notes/log' TERM; ${up('middle')}; while :; do sleep 1 & wait; done`),
      ],
      terminationGracePeriodSeconds: 60,
    });
    await run.apply(podManifest('lowest', { ...ending(notes, 'lowest', 1), priority: -5 }));
    await run.apply(podManifest('middle', { ...deaf, priority: 99_999 }));
    await run.apply(podManifest('highest', { ...ending(notes, 'highest', 0), priority: 2_000_000 }));
    for (const name of ['lowest', 'middle', 'highest']) await run.untilReady(name);
    await untilUp(notes, 3);
    await eventually('the agent holds shutdowns up', holdsUp, slowMs);

    login.refuses = true;
    await login.call('PowerOff', 'b', 'false');
    await eventually('the machine tries to go down', () => login.started.length > 0, slowMs);
    // One that does not hear has the time of its group, not its own.
    await notes.untilLines(['lowest ended', 'middle told', 'highest ended']);
    await run.untilPod('middle', 'was killed', ({ phase }) => phase === 'Failed', slowMs);
    expect(run.container('middle', 'main').state?.terminated?.exitCode).toBe(137);
    await eventually('the agent holds shutdowns up again', holdsUp, slowMs);
    const told = (): string => run.eventsOf('test-node').join();
    await eventually('the cancellation is told', () => told().includes('detected shutdown cancellation'), slowMs);
    await run.apply(podManifest('after', { containers: [script('main', 'sleep 1000000')] }));
    await run.untilReady('after');
  });
});

/** Whether this process has a child that runs this program. */
async function hasChild(program: string): Promise<boolean> {
  const tasks = await readdir('/proc/self/task');
  const pids = await Promise.all(tasks.map((task) => readFile(`/proc/self/task/${task}/children`, 'utf8')));
  const lines = pids
    .flatMap((text) => text.split(' ').filter(Boolean))
    .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
  return (await Promise.all(lines)).some((line) => line.split('\0').includes(program));
}

test.skipIf(missing.length > 0)(
  'without a bus nothing is held up, and nobody is told that it is',
  async ({ signal }) => {
    process.env['DBUS_SYSTEM_BUS_ADDRESS'] = 'unix:path=/nonexistent';
    try {
      const logind = new BusctlLogind(runProgram);
      expect(await logind.maxDelayMs(signal)).toBeUndefined();
      await expect(logind.inhibit(signal)).rejects.toThrow('systemd-inhibit ended without the lock');
      // It says why before it ends.
      using watch = await logind.watch(signal);
      await eventually('busctl has ended', async () => !(await hasChild('busctl')), slowMs);
      await expect(watch[Symbol.asyncIterator]().next()).rejects.toThrow('busctl monitor ended');
    } finally {
      delete process.env['DBUS_SYSTEM_BUS_ADDRESS'];
    }
  },
);
