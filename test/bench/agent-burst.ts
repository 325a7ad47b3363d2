import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentRun } from '../agent/agent-run.js';
import { AgentWorld, sampleImage } from '../agent/agent-world.js';
import { cpuSeconds, residentMiB, settleMs, type Sample } from './measure.js';

/** What one burst of pods cost the agent. */
export interface AgentSample extends Sample {
  readonly cpuMsPerPod: number;
  readonly rssMiB: number;
  /** CPU seconds a minute while nothing happens; undefined where it was not measured. */
  readonly idleCpuPerMinute: number | undefined;
  /** From `kill -9` and a new start until every pod is reported Ready again, and restarts there were. */
  readonly adoption: { readonly ms: number; readonly restarts: number } | undefined;
}

export interface BurstOptions {
  readonly count: number;
  /** Also measure rest and adoption. */
  readonly whole: boolean;
  /** How long rest is watched; without `whole` only where it is more than 0. */
  readonly idleMs: number;
  /** Another runtime than the embedded one, with its image. */
  readonly runtime?: { readonly endpoint: string; readonly image: string } | undefined;
  /** Joins the spec of each pod, for example its volumes. */
  readonly pod?: BurstPod | undefined;
  /** Called before the first pod comes. */
  readonly before?: ((run: AgentRun, world: AgentWorld) => Promise<void>) | undefined;
  /** Called while all pods are ready. */
  readonly whileReady?: ((run: AgentRun, world: AgentWorld) => Promise<void>) | undefined;
}

/** Parts of a pod, by its name. */
export type BurstPod = (name: string) => {
  readonly volumes: readonly object[];
  readonly volumeMounts: readonly object[];
};

const manifest = (name: string, image: string, { volumes, volumeMounts } = noVolumes(name)): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        { name: 'main', image, imagePullPolicy: 'IfNotPresent', command: ['sleep', '1000000'], volumeMounts },
      ],
      volumes,
    },
  });

const noVolumes: BurstPod = () => ({ volumes: [], volumeMounts: [] });

/** Starts an agent of its own, gives it `count` manifests at once, and measures until all are gone again. */
export async function runBurst(options: BurstOptions): Promise<AgentSample> {
  const { count, whole, idleMs, runtime, pod, before, whileReady } = options;
  const { endpoint = 'embedded', image = sampleImage } = runtime ?? {};
  await using world = await AgentWorld.open(
    (config) => ({
      ...config,
      runtime: { ...config.runtime, endpoint },
      limits: { ...config.limits, maxPods: count + 10 },
    }),
    20,
  );
  const waiting = join(world.dir, 'waiting');
  await mkdir(waiting);
  const names = Array.from({ length: count }, (_, index) => `pod-${index}`);
  for (const name of names) await writeFile(join(waiting, `${name}.json`), manifest(name, image, pod?.(name)));
  let run = await world.start(undefined, true);
  await run.untilStarted();
  await before?.(run, world);
  const cpuBefore = cpuSeconds(run.pid);
  const readyAt = new Map<string, number>();
  const started = performance.now();
  const allReady = watchReady(run, count, readyAt);
  for (const name of names) await rename(join(waiting, `${name}.json`), join(world.dir, 'manifests', `${name}.json`));
  await allReady;
  const cpuMsPerPod = ((cpuSeconds(run.pid) - cpuBefore) * 1000) / count;
  const idle = whole || (runtime !== undefined && idleMs > 0) ? await idleCpu(run, idleMs) : undefined;
  const rssMiB = residentMiB(run.pid);
  await whileReady?.(run, world);
  let adoption: AgentSample['adoption'];
  if (whole) {
    await run.kill();
    const again = performance.now();
    run = await world.start(undefined, true);
    await watchReady(run, count, new Map());
    const restarts = [...run.pods.values()].reduce((sum, pod) => sum + pod.restarts, 0);
    adoption = { ms: performance.now() - again, restarts };
  }
  const deleteStarted = performance.now();
  for (const name of names) await world.remove(`${name}.json`);
  await run.untilGone(120_000);
  return {
    readyMs: [...readyAt.values()].map((at) => at - started).sort((a, b) => a - b),
    deleteMs: performance.now() - deleteStarted,
    cpuMsPerPod,
    rssMiB,
    idleCpuPerMinute: idle,
    adoption,
  };
}

function watchReady(run: AgentRun, count: number, readyAt: Map<string, number>): Promise<void> {
  return run.until(
    `${count} pods are ready`,
    () => {
      for (const pod of run.pods.values())
        if (pod.ready && !readyAt.has(pod.uid)) readyAt.set(pod.uid, performance.now());
      return readyAt.size >= count;
    },
    180_000,
  );
}

async function idleCpu(run: AgentRun, idleMs: number): Promise<number> {
  await delay(settleMs);
  const before = cpuSeconds(run.pid);
  await delay(idleMs);
  return ((cpuSeconds(run.pid) - before) * 60_000) / idleMs;
}
