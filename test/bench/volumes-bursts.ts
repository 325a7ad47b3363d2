// `npm run bench -- --volumes`: what volumes add to a burst of pods, what a changed ConfigMap costs, what a FlexVolume driver costs.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentRun } from '../agent/agent-run.js';
import type { AgentWorld } from '../agent/agent-world.js';
import { runBurst, type AgentSample, type BurstPod } from './agent-burst.js';
import { benchRow, cpuSeconds, percentile, rowTable, type BenchRow } from './measure.js';

export interface VolumesOptions {
  readonly count: number;
  /** Bursts of each kind, in turn; the best of each counts. */
  readonly rounds: number;
}

const targets = { ratio: 1.25, updateMs: 2000, updateCpuSeconds: 1, flexCpuMs: 5 };

const plain: BurstPod = () => ({ volumes: [], volumeMounts: [] });

const fourVolumes: BurstPod = () => ({
  volumes: [
    { name: 'settings', configMap: { name: 'settings' } },
    { name: 'keys', secret: { secretName: 'keys' } },
    { name: 'scratch', emptyDir: {} },
    {
      name: 'all',
      projected: {
        sources: [
          { configMap: { name: 'settings' } },
          { secret: { name: 'keys' } },
          { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
        ],
      },
    },
  ],
  volumeMounts: ['settings', 'keys', 'scratch', 'all'].map((name) => ({ name, mountPath: `/${name}` })),
});

/** Nothing but the 10 ms: what is measured is the agent. */
const flexDriver = `#!/bin/sh
case "$1" in
  init) echo '{"status":"Success","capabilities":{"attach":false}}' ;;
  mount|unmount) sleep 0.01; echo '{"status":"Success"}' ;;
  *) echo '{"status":"Not supported"}' ;;
esac
`;

const flexVolume: BurstPod = () => ({
  volumes: [{ name: 'data', flexVolume: { driver: 'example.com/quick' } }],
  volumeMounts: [{ name: 'data', mountPath: '/data' }],
});

const objects = (version: string): string => `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { version: "${version}", text: ${'x'.repeat(500)} }
---
apiVersion: v1
kind: Secret
metadata: { name: keys }
stringData: { password: sesame }
`;

interface Update {
  readonly ms: number;
  readonly cpuSeconds: number;
}

/** Prints the table; a target that is missed makes the exit code 1. */
export async function printVolumes({ count, rounds }: VolumesOptions): Promise<void> {
  const bare: AgentSample[] = [];
  const four: AgentSample[] = [];
  const flex: AgentSample[] = [];
  const updates: Update[] = [];
  console.log(`${count} pods at once, the best of ${rounds} rounds of each kind\n`);
  const burst = { count, whole: false, idleMs: 0 };
  console.log('| volumes | agent s | p50 s | CPU ms/pod | RSS MiB | delete s |\n|---|---:|---:|---:|---:|---:|');
  for (let round = 0; round < rounds; round++) {
    bare.push(printed('none', await runBurst({ ...burst, pod: plain })));
    flex.push(
      printed('FlexVolume', await runBurst({ ...burst, pod: flexVolume, before: (_, world) => installDriver(world) })),
    );
    four.push(
      printed(
        'ConfigMap, Secret, emptyDir, projected',
        await runBurst({
          ...burst,
          pod: fourVolumes,
          before: (run) => run.apply(objects('1')),
          whileReady: async (run, world) => void updates.push(await changeConfigMap(run, world)),
        }),
      ),
    );
  }
  const best = (samples: readonly AgentSample[], figure: (sample: AgentSample) => number): number =>
    Math.min(...samples.map(figure));
  const cpu = ({ cpuMsPerPod }: AgentSample): number => cpuMsPerPod;
  // Of the best ones: whatever else the machine does only ever adds.
  const added = best(flex, cpu) - best(bare, cpu);
  const rows: BenchRow[] = [
    benchRow('pods with four volumes, times as long', best(four, lastReady) / best(bare, lastReady), targets.ratio, ''),
    benchRow(
      `a ConfigMap's change in ${count} pods' files`,
      Math.min(...updates.map(({ ms }) => ms)),
      targets.updateMs,
    ),
    benchRow('its agent CPU', Math.min(...updates.map((each) => each.cpuSeconds)), targets.updateCpuSeconds, 's'),
    benchRow('agent CPU a FlexVolume of a 10 ms driver adds to a pod', added, targets.flexCpuMs),
  ];
  console.log(`\n${rowTable(rows)}`);
  if (!rows.every(({ holds }) => holds)) process.exitCode = 1;
}

const lastReady = ({ readyMs }: AgentSample): number => percentile(readyMs, 1);

function printed(name: string, sample: AgentSample): AgentSample {
  const seconds = (ms: number): string => (ms / 1000).toFixed(2);
  const { readyMs, cpuMsPerPod, rssMiB, deleteMs } = sample;
  const cells = [name, seconds(lastReady(sample)), seconds(percentile(readyMs, 0.5)), cpuMsPerPod.toFixed(1)];
  console.log(`| ${[...cells, rssMiB.toFixed(0), seconds(deleteMs)].join(' | ')} |`);
  return sample;
}

/** Until every pod's own file and its projected one have the new content; the agent's CPU until it rests again. */
async function changeConfigMap(run: AgentRun, world: AgentWorld): Promise<Update> {
  const files = [...run.pods.keys()].flatMap((uid) =>
    ['kubernetes.io~configmap/settings', 'kubernetes.io~projected/all'].map((volume) =>
      join(world.config.paths.rootDir, 'pods', uid, 'volumes', volume, 'version'),
    ),
  );
  const cpuBefore = cpuSeconds(run.pid);
  const started = performance.now();
  await run.apply(objects('2'));
  const deadline = started + 60_000;
  for (const file of files) {
    while ((await readFile(file, 'utf8')) !== '2') {
      if (performance.now() > deadline) throw new Error(`${file} does not change`);
      await delay(10);
    }
  }
  const ms = performance.now() - started;
  let cpu = cpuSeconds(run.pid);
  for (let before = -1; before !== cpu;) {
    before = cpu;
    await delay(500);
    cpu = cpuSeconds(run.pid);
  }
  return { ms, cpuSeconds: cpu - cpuBefore };
}

async function installDriver(world: AgentWorld): Promise<void> {
  const folder = join(world.config.paths.volumePluginDir, 'example.com~quick');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'quick'), flexDriver, { mode: 0o755 });
}
