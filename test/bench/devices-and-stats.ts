import { benchDeviceAllocation } from './devices-allocation.js';
import { benchDeviceHealth } from './devices-health.js';
import { benchEvictionDecision } from './eviction-decision.js';
import { rowTable, type BenchRow } from './measure.js';
import { benchStatsScrape } from './stats-scrape.js';

/** `npm run bench -- --resources`: figures of devices, statistics and eviction against their targets. */
export async function benchResources(): Promise<readonly BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const bench of [benchStatsScrape, benchEvictionDecision, benchDeviceAllocation, benchDeviceHealth])
    rows.push(...(await bench()));
  return rows;
}

export async function printResources(): Promise<void> {
  const rows = await benchResources();
  process.stdout.write(`${rowTable(rows)}\n`);
  if (!rows.every(({ holds }) => holds)) process.exitCode = 1;
}
