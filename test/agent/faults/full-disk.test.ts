import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { AgentConfig } from '../../../agent/config/agent-config.js';
import { withDefaults } from '../../../agent/config/kubelet/index.js';
import { expect, test } from 'vitest';
import { fillDisk } from '../../support/fill-disk.js';
import type { AgentRun } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { container, podManifest, script } from '../pod-objects.js';

/** A file system of its own for a folder of the agent, small enough to be filled. */
function mountSmall(folder: string, megabytes: number): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0750`, 'small', folder]);
}

/** A full disk is pressure too, which would end the pods that are to live on. */
const withoutEviction = (config: AgentConfig): AgentConfig => ({
  ...config,
  kubelet: { ...withDefaults({}), evictionHard: {} },
});

async function end(run: AgentRun, world: AgentWorld, mount: string): Promise<void> {
  for (const { name } of [...run.pods.values()]) await run.delete(name, 1);
  await run.untilGone();
  expect((await world.leftovers()).filter((left) => left !== `mount ${mount}`)).toEqual([]);
}

test('a full disk under the state of the agent holds new pods, and nothing else', async () => {
  await using world = await AgentWorld.open((config) => {
    mountSmall(config.paths.stateDir, 40);
    return withoutEviction(config);
  });
  const { stateDir } = world.config.paths;
  let run = await world.start();
  await run.untilStarted();
  for (const name of ['before', 'leaving']) {
    await run.apply(podManifest(name, { containers: [container('main')] }));
    await run.untilReady(name);
  }
  const filler = await fillDisk(stateDir);

  await world.write('squeezed.yaml', podManifest('squeezed', { containers: [container('main')] }));
  const stuck = await run.untilPod('squeezed', 'tells of the disk', (pod) =>
    pod.waits.some((wait) => /ENOSPC|[Nn]o space left/.test(wait)),
  );
  expect(stuck.phase).toBe('Pending');
  expect(run.pod('before').ready).toBe(true);

  // It comes up again, and what ran runs on.
  await run.kill();
  run = await world.start();
  await run.untilReady('before');
  expect(run.pod('before').restarts).toBe(0);
  await run.untilPod('squeezed', 'tells of the disk', (pod) =>
    pod.waits.some((wait) => /ENOSPC|[Nn]o space left/.test(wait)),
  );

  await rm(filler);
  await run.untilReady('squeezed');
  await world.remove('squeezed.yaml');
  await end(run, world, stateDir);
});

test('a full disk under the logs stops no container, and no pod from going', async () => {
  await using world = await AgentWorld.open((config) => {
    mountSmall(config.paths.podLogsDir, 1);
    return withoutEviction(config);
  });
  const { podLogsDir } = world.config.paths;
  await using run = await world.start();
  await run.untilStarted();
  await run.apply(
    podManifest('chatty', {
      containers: [
        script(
          'main',
          'yes a line of many words | head -c 3000000; touch /tmp/done; trap "exit 0" TERM; sleep 1000000 & wait',
          {
            readinessProbe: { exec: { command: ['test', '-e', '/tmp/done'] }, periodSeconds: 1 },
          },
        ),
      ],
    }),
  );
  await run.untilReady('chatty');
  expect(run.pod('chatty').restarts).toBe(0);
  await run.apply(podManifest('next', { containers: [container('main')] }));
  await run.untilPod(
    'next',
    'is ready or tells of the disk',
    (pod) => pod.ready || pod.waits.some((wait) => /ENOSPC|[Nn]o space left/.test(wait)),
  );
  await run.delete('chatty', 1);
  await run.untilReady('next');
  await end(run, world, podLogsDir);
});
