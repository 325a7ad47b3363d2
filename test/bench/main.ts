// `npm run bench`: what berth costs, beside what the same work costs without it, in one run. `--quick` for a first look, `--large` for
// 300 pods too; `--resources`, `--runtimes`, `--volumes` and `--cluster` measure those parts instead.
import { cpus, release } from 'node:os';
import { BenchDisk } from './bench-disk.js';

const asked = (flag: string): boolean => process.argv.includes(flag);
const quick = asked('--quick');
const idleMs = 60_000;

console.log(
  `${new Date().toISOString().slice(0, 10)}, Linux ${release()}, ${cpus().length} cores, Node ${process.versions.node}\n`,
);
await using disk = await BenchDisk.open();
// The agents under test keep all they have in folders below this one.
process.env['TMPDIR'] = disk.dir;
if (asked('--resources')) {
  const { printResources } = await import('./devices-and-stats.js');
  await printResources();
} else if (asked('--runtimes')) {
  const { printRuntimes } = await import('./runtimes-bursts.js');
  const { runtimesOptions } = await import('./runtimes-options.js');
  await printRuntimes(runtimesOptions(process.argv, quick, idleMs));
} else if (asked('--volumes')) {
  const { printVolumes } = await import('./volumes-bursts.js');
  await printVolumes({ count: quick ? 10 : 100, rounds: quick ? 1 : 3 });
} else if (asked('--cluster')) {
  const { hasControlPlane } = await import('../support/control-plane.js');
  const { printCluster } = await import('./cluster-bursts.js');
  if (hasControlPlane()) await printCluster({ count: quick ? 10 : 100, idleMs });
} else {
  const { printBursts } = await import('./bursts.js');
  const counts = quick ? [1, 10] : [1, 10, 50, 100, ...(asked('--large') ? [300] : [])];
  await printBursts({ counts, dir: disk.dir, idleMs });
  const { printProgramTimes } = await import('./program-times.js');
  await printProgramTimes();
}
