import { BerthWorld, runProcess } from '../agent/cli/berth-world.js';
import { benchRow, percentile, rowTable, timesOf } from './measure.js';

const rounds = 9;

const median = async (work: () => Promise<void>): Promise<number> => percentile(await timesOf(rounds, 1, work), 0.5);

/** From the start of the program until its pods are synced, as the agent itself logs it; median. */
async function startMs(world: BerthWorld): Promise<number> {
  for (let round = 0; round < rounds; round++) {
    await world.start();
    await world.stop();
  }
  const logged = [...world.agentLog.matchAll(/"startMs":(\d+)/g)].map(([, ms]) => Number(ms));
  if (logged.length < rounds) throw new Error(`the agent does not log its start:\n${world.agentLog}`);
  return percentile(
    logged.sort((a, b) => a - b),
    0.5,
  );
}

/** What a person waits for: the start of the agent, and one command. */
export async function printProgramTimes(): Promise<void> {
  await using world = await BerthWorld.open();
  const start = await startMs(world);
  await world.start();
  const command = await median(async () => void (await world.ok('get', 'pods')));
  const node = await median(async () => void (await runProcess(process.execPath, ['-e', '0'])));
  console.log(
    `\n${rowTable([benchRow('start-up to first sync', start, 500), benchRow('`berth get pods`', command, 150)])}`,
  );
  console.log(`\n(Node.js itself takes ${node.toFixed(0)} ms to start and end.)`);
}
