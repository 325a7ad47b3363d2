// `npm run bench -- --runtimes`: the same burst of pods on each runtime of this machine, and what the agent adds to one.
import { runBurst, type AgentSample } from './agent-burst.js';
import { benchRow, percentile, rowTable, type BenchRow } from './measure.js';
import { runBareBurst, type BareSample } from './runtimes-bare.js';
import { relistCpuMs } from './runtimes-relist.js';
import { runtimeKinds, type RuntimeKind, type RuntimeUnderTest } from './runtimes-under-test.js';

export interface RuntimesOptions {
  readonly count: number;
  /** Bursts of the bare calls and of the agent, one after the other, each first in its turn. */
  readonly rounds: number;
  readonly idleMs: number;
  /** Only runtimes whose name holds this word. */
  readonly only?: string | undefined;
}

interface Measured {
  readonly name: string;
  readonly agent: AgentSample;
  readonly bare: BareSample | undefined;
  /** What the agent's best round took more than the bare calls' best. */
  readonly addedPercent: number | undefined;
  readonly relistMs: number | undefined;
}

const targets = { addedPercent: 10, cpuMsPerPod: 20, relistMs: 5, idleCpuPerMinute: 0.5 };
/** Pods started at once by the agent's configuration for two cores, and by the bare loop. */
const concurrency = 4;

const lastReady = ({ readyMs }: { readonly readyMs: readonly number[] }): number => percentile(readyMs, 1);
const seconds = (ms: number): string => (ms / 1000).toFixed(2);

export async function printRuntimes(options: RuntimesOptions): Promise<void> {
  const rows: BenchRow[] = [];
  const { count, rounds: times } = options;
  console.log(
    `${count} pods at once, the best of ${times} rounds; "bare" are the CRI calls alone, in rounds between those of the agent\n`,
  );
  console.log(
    '| runtime | bare s | agent s | added | p50 s | CPU ms/pod (bare) | RSS MiB | idle CPU s/min | relist ms CPU |',
  );
  console.log('|---|---:|---:|---:|---:|---:|---:|---:|---:|');
  for (const kind of runtimeKinds.filter(({ name }) => name.includes(options.only ?? ''))) {
    if (kind.missing !== undefined) {
      console.log(`| ${kind.name} | needs ${kind.missing} |`);
      continue;
    }
    const measured = await measure(kind, options);
    console.log(line(measured));
    rows.push(...judged(measured));
  }
  console.log(`\n${rowTable(rows)}`);
  if (!rows.every(({ holds }) => holds)) process.exitCode = 1;
}

async function measure(kind: RuntimeKind, { count, rounds, idleMs }: RuntimesOptions): Promise<Measured> {
  await using runtime = await kind.open();
  const bare: BareSample[] = [];
  const agent: AgentSample[] = [];
  let relistMs: number | undefined;
  const bareRound = async (): Promise<void> => {
    const sample = await bareBurst(runtime, count);
    if (sample !== undefined) bare.push(sample);
  };
  for (let round = 0; round < rounds; round++) {
    const last = round === rounds - 1;
    // A daemon grows slower with what it has run: neither is always the later one.
    if (round % 2 === 0) await bareRound();
    agent.push(
      await runBurst({
        count,
        idleMs: last ? idleMs : 0,
        whole: false,
        runtime,
        whileReady: async () => {
          if (last) relistMs = await relist(runtime);
        },
      }),
    );
    if (round % 2 === 1) await bareRound();
  }
  const [bestAgent, bestBare] = [best(agent), bare.length > 0 ? best(bare) : undefined];
  return {
    name: kind.name,
    agent: { ...bestAgent, idleCpuPerMinute: agent.at(-1)?.idleCpuPerMinute },
    bare: bestBare,
    // Of the best ones: whatever else the machine does only ever adds, and often more than there is to be measured.
    addedPercent: bestBare && (lastReady(bestAgent) / lastReady(bestBare) - 1) * 100,
    relistMs,
  };
}

/** The fastest, with the least CPU that any of them took. */
function best<S extends BareSample>(samples: readonly S[]): S {
  const fastest = samples.toSorted((a, b) => lastReady(a) - lastReady(b))[0] as S;
  return { ...fastest, cpuMsPerPod: Math.min(...samples.map((one) => one.cpuMsPerPod)) };
}

async function bareBurst(runtime: RuntimeUnderTest, count: number): Promise<BareSample | undefined> {
  if (runtime.connect === undefined) return undefined;
  await using client = await runtime.connect();
  return await runBareBurst(client, { count, image: runtime.image, concurrency });
}

async function relist(runtime: RuntimeUnderTest): Promise<number | undefined> {
  if (runtime.connect === undefined) return undefined;
  await using client = await runtime.connect();
  return await relistCpuMs(client);
}

function line({ name, agent, bare, addedPercent: added, relistMs }: Measured): string {
  const cells = [
    name,
    bare === undefined ? '' : seconds(lastReady(bare)),
    seconds(lastReady(agent)),
    added === undefined ? '' : `${added.toFixed(0)}%`,
    seconds(percentile(agent.readyMs, 0.5)),
    agent.cpuMsPerPod.toFixed(1) + (bare ? ` (${bare.cpuMsPerPod.toFixed(1)})` : ''),
    agent.rssMiB.toFixed(0),
    agent.idleCpuPerMinute?.toFixed(2) ?? '',
    relistMs?.toFixed(2) ?? '',
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Only what goes through CRI to a daemon has targets of its own here. */
function judged({ name, agent, addedPercent: added, relistMs }: Measured): BenchRow[] {
  if (added === undefined || relistMs === undefined) return [];
  const rows = [
    benchRow(`${name}: what the agent adds to the bare calls`, added, targets.addedPercent, '%'),
    benchRow(`${name}: CPU of the agent per pod`, agent.cpuMsPerPod, targets.cpuMsPerPod),
    benchRow(`${name}: CPU of one relist`, relistMs, targets.relistMs),
  ];
  const { idleCpuPerMinute: idle } = agent;
  return idle === undefined
    ? rows
    : [...rows, benchRow(`${name}: CPU of the agent at rest`, idle, targets.idleCpuPerMinute, 's/min')];
}
