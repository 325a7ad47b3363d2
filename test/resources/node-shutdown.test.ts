import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { systemCriticalPriority } from '../../agent/api/index.js';
import { withDefaults } from '../../agent/config/kubelet/index.js';
import { canRunAgent } from '../agent/agent-world.js';
import { podManifest, script } from '../agent/pod-objects.js';
import { SharedAgent } from '../agent/shared-agent.js';
import { eventually } from '../support/daemon.js';
import { LogindWorld, missingForLogind } from './logind-world.js';

const missing = missingForLogind();
const able = (await canRunAgent()) && missing.length === 0;
if (!able) console.warn(`SKIPPED: node shutdown needs root, crun, the compiled agent, ${missing.join(', ')}`);

describe.skipIf(!able)('the shutdown of the machine', async () => {
  const login = able ? await LogindWorld.open() : undefined;
  // The agent and its helpers find the bus as all programs do.
  if (login) process.env['DBUS_SYSTEM_BUS_ADDRESS'] = login.address;
  afterAll(async () => {
    delete process.env['DBUS_SYSTEM_BUS_ADDRESS'];
    await login?.[Symbol.asyncDispose]();
  });
  const kubelet = withDefaults({ shutdownGracePeriod: 20_000, shutdownGracePeriodCriticalPods: 10_000 });
  const agent = SharedAgent.use((config) => ({ ...config, kubelet }));

  test('waits for pods, those of low priority first, and goes on when all have ended', async () => {
    if (!login) return;
    const { run } = agent;
    const notes = await agent.notes('order');
    const spec = (name: string, seconds: number) =>
      notes.in({
        containers: [
          script(
            'main',
            `trap 'sleep ${seconds}; echo ${name} ended >> /notes/log; exit 0' TERM; sleep 1000000 & wait`,
          ),
        ],
        terminationGracePeriodSeconds: 8,
      });
    await run.apply(podManifest('ordinary', spec('ordinary', 1)));
    await run.apply(podManifest('critical', { ...spec('critical', 0), priority: systemCriticalPriority }));
    await run.untilReady('ordinary');
    await run.untilReady('critical');
    await eventually('the agent holds shutdowns up', async () =>
      (await login.call('ListInhibitors')).includes('"shutdown" "kubelet"'),
    );

    await login.call('PowerOff', 'b', 'false');
    await run.untilPod('ordinary', 'has ended', ({ phase }) => phase === 'Failed');
    expect(login.started).toEqual([]);
    await run.apply(podManifest('late', spec('late', 0)));
    const late = await run.untilPod('late', 'is refused', ({ phase }) => phase === 'Failed');
    expect(late.status).toMatchObject({
      reason: 'NodeShutdown',
      message: 'Pod was rejected: Pod was rejected as the node is shutting down.',
    });
    await eventually('the machine goes down', () => login.started.length > 0);
    expect(login.started).toEqual(['poweroff.target']);
    await notes.untilLines(['ordinary ended', 'critical ended']);
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
    expect((await login.call('ListInhibitors')).includes('kubelet')).toBe(false);
  });
});
