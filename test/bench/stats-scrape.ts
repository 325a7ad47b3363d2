import { MonitoredPods } from '../agent/stats/monitored-pods.js';
import { benchRow, cheapestCpuMs, type BenchRow } from './measure.js';

const podCount = 100;
const targetMs = 40;

/** What one scrape of each endpoint costs with 100 pods in real cgroups, each with a process and a network of its own. */
export async function benchStatsScrape(): Promise<BenchRow[]> {
  await using pods = await MonitoredPods.open(podCount);
  return Object.entries(await pods.scrapes()).map(([path, scrape]) =>
    benchRow(
      `${path} of ${podCount} pods, CPU`,
      cheapestCpuMs(() => void scrape()),
      targetMs,
    ),
  );
}
