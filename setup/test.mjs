// `npm test`: everything that is missing is installed, then all suites run. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

// Daemons that would change a desk's network are installed where nobody sits; elsewhere their suites say that they are skipped.
prepare(['run', 'sample', 'test', ...(process.env.CI === 'true' ? ['ci'] : [])]);
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);
