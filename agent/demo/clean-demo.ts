import { readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.js';
import { errnoOf } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { programSucceeded, runProgram } from '../../base/run-program.js';
import { linkSignal } from '../../base/signals.js';
import type { Agent } from '../agent.js';
import { openAgent } from '../open-agent.js';
import { cgroupFolders, detectHierarchy } from '../resources/cgroups/hierarchy.js';
import { openServing, MetricsStore } from '../serving/index.js';
import { demo, demoConfig } from './demo-config.js';
import { removeUnusedCniChains } from './unused-cni-chains.js';

/** Longest the pods may take to end: their own grace periods and a little more. */
const endMs = 120_000;
const lookEveryMs = 100;

/**
 * Ends all pods of the demo and removes everything it made. Fails, with what is left named, rather than to remove something that is
 * still in use. May be repeated.
 */
export async function cleanDemo(log: Logger, signal: AbortSignal): Promise<void> {
  await endPods(log, signal);
  const left = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => [demo.stateDir, demo.runDir].some((dir) => path.startsWith(`${dir}/`)));
  // Nothing is removed through a mount: it could be somebody's data.
  if (left.length > 0)
    throw new Error(`remove the demo: still mounted: ${left.join(', ')}; unmount them and clean again`);
  // The tmpfs of the run folder itself, on machines whose /run is none.
  await host(['umount', demo.runDir], signal);
  await host(['ip', 'link', 'delete', demo.bridge], signal);
  await removeUnusedCniChains(signal);
  await removeCgroups();
  await rm(demo.stateDir, { recursive: true, force: true });
  await rm(demo.runDir, { recursive: true, force: true });
}

/** An agent that nobody wants pods of ends all it finds. */
async function endPods(log: Logger, signal: AbortSignal): Promise<void> {
  using limited = linkSignal(signal, { timeoutMs: endMs, what: 'the pods of the demo to end' });
  const config = demoConfig(undefined);
  const quiet = { ...config, serving: { ...config.serving, healthzPort: 0 } };
  // Fails when the demo still runs.
  await using serving = await openServing(quiet, { log, metrics: new MetricsStore() });
  // What was applied to the demo would be wanted again.
  await rm(join(demo.stateDir, 'objects'), { recursive: true, force: true });
  await using agent = await openAgent(quiet, { log }, limited.signal);
  serving.serve(agent);
  while (!(await isEmpty(agent, limited.signal))) await systemClock.sleep(lookEveryMs, limited.signal);
}

async function isEmpty(agent: Agent, signal: AbortSignal): Promise<boolean> {
  const { runtime } = agent.runtime;
  const [sandboxes, containers] = await Promise.all([
    runtime.listPodSandbox({}, signal),
    runtime.listContainers({}, signal),
  ]);
  return agent.pods().length === 0 && !sandboxes.items?.length && !containers.containers?.length;
}

async function removeCgroups(): Promise<void> {
  for (const folder of cgroupFolders(await detectHierarchy(), demo.cgroup)) {
    for (const path of [
      ...['kubepods/besteffort', 'kubepods/burstable', 'kubepods'].map((each) => join(folder, each)),
      folder,
    ]) {
      await rmdir(path).catch((err: unknown) => {
        if (errnoOf(err) !== 'ENOENT') throw err;
      });
    }
  }
}

/** Absence of what is to be removed is a success. */
async function host(argv: readonly [string, ...string[]], signal: AbortSignal): Promise<void> {
  const result = await runProgram(
    { argv, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }, timeoutMs: 10_000 },
    signal,
  );
  if (!programSucceeded(result) && !/Cannot find device|not mounted|no mount point/.test(result.stderr))
    throw new Error(`remove the demo: ${argv.join(' ')}: ${result.stderr.trim()}`);
}
