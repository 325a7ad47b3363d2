// `npm test`: everything that is missing is installed, then all suites run. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

// Daemons that would change a desk's network are installed where nobody sits; elsewhere their suites say that they are skipped.
prepare(['run', 'sample', 'test', ...(process.env.CI === 'true' ? ['ci'] : [])]);
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const report = join(root, 'node_modules/.cache/berth/tests.json');
rmSync(report, { force: true });
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
);
if (existsSync(report)) {
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'));
  console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
}
process.exit(status ?? 1);
