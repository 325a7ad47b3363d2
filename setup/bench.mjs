// `npm run bench`: everything that is missing is installed, then the benchmark runs. Arguments go to it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare(['run', 'sample', 'test']);
const { status } = spawnSync(process.execPath, [join(root, 'dist/test/bench/main.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, BERTH_TEST_DIST: join(root, 'dist'), BERTH_MAIN: join(root, 'dist/bin/berth.js') },
});
process.exit(status ?? 1);
