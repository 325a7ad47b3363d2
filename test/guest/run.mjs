// Runs berth on a machine other than this one: `node test/guest/run.mjs SCENARIO...`, without a name it says which there are. The machine is
// a qemu guest with the kernel of Debian, cgroup v2 only, and the files of this one, read-only, so what runs there is what is installed and compiled
// here. Takes some minutes without /dev/kvm. BERTH_TEST_DIST names another compiled tree, BERTH_GUEST_ACCEL another accelerator than tcg; all
// of BERTH_* is seen in the guest. A scenario is one file in scenarios/: `check` runs there, and `machine` says what it runs on, all of it optional:
//   init: 'systemd'                      as the first process, with the bus and `units`; without it the checks are all that runs
//   cpus, memoryMib                      2 and 2048
//   disks: { NAME: { mib, bus } }        empty ones; `guest.disk(NAME)` is the path
//   packages                             of Debian, whose files are there as if they were installed
//   modules, kernelArgs, qemuArgs        more of each
//   limitMinutes                         25
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { boot } from './host/boot.mjs';
import { fetchKernel, makeInitramfs, requirePrograms } from './host/kernel.mjs';
import { fetchPackages } from './host/packages.mjs';

const here = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');
const root = join(here, '../..');
const cache = join(root, 'node_modules/.cache/berth');

async function runScenario(name, kernel) {
  const { machine } = await import(join(here, 'scenarios', `${name}.mjs`));
  const packages = machine.packages && fetchPackages(machine.packages, join(cache, 'guest-packages'));
  const folder = mkdtempSync(join(tmpdir(), 'berth-guest-'));
  try {
    const settings = Object.entries(process.env).filter(([key]) => /^(BERTH_|KUBEBUILDER_ASSETS)/.test(key));
    const environment = {
      ...Object.fromEntries(settings),
      BERTH_DIST: process.env.BERTH_TEST_DIST ?? join(root, 'dist'),
      BERTH_GUEST: here,
      BERTH_INIT: machine.init ?? 'direct',
      BERTH_KERNEL: kernel,
      BERTH_MODULES: [...(machine.disks === undefined ? [] : ['virtio_blk']), ...(machine.modules ?? [])].join(' '),
      BERTH_NODE: process.execPath,
      BERTH_PACKAGES: packages ?? '',
      BERTH_SCENARIO: name,
      BERTH_UNITS: (machine.units ?? []).join(' '),
    };
    const initramfs = makeInitramfs(folder, kernel, join(here, 'inside/init.sh'), environment);
    return await boot(machine, { kernel, initramfs, packages, folder });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const known = readdirSync(join(here, 'scenarios')).map((file) => basename(file, '.mjs'));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !existsSync(join(here, 'scenarios', `${name}.mjs`)));
if (wanted.length === 0 || unknown.length > 0) {
  console.error(`${unknown.map((name) => `no scenario ${name}; `).join('')}scenarios: ${known.join(', ')}`);
  process.exit(2);
}
requirePrograms();
const kernel = fetchKernel(join(cache, 'guest-kernel'));
let passed = true;
for (const name of wanted) {
  console.log(`--- ${name}, ${basename(kernel)}`);
  const started = performance.now();
  const good = await runScenario(name, kernel);
  passed &&= good;
  console.log(`--- ${name}: ${good ? 'passed' : 'FAILED'} in ${Math.round((performance.now() - started) / 1000)} s`);
}
process.exit(passed ? 0 : 1);
