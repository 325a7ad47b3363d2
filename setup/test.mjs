// `npm test`: everything that is missing is installed, then all suites run. Arguments go to vitest.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { prepare, root } from './prepare.mjs';

// Daemons that would change a desk's network are installed where nobody sits; elsewhere their suites say that they are skipped.
prepare(['run', 'sample', 'test', ...(process.env.CI === 'true' ? ['ci'] : [])]);
const reports = join(root, 'node_modules/.cache/berth');
mkdirSync(reports, { recursive: true });
const own = process.argv.slice(2);
// What waits most of its time, or keeps to itself, runs beside what needs the machine; its output comes when it has ended, in one piece.
const lanes =
  own.length > 0
    ? [{ name: 'tests', args: own }]
    : [
        { name: 'tests', args: ['--project', 'real'] },
        { name: 'tests-beside', args: ['--project', 'unit', '--project', 'beside'], later: true },
      ];
const ends = await Promise.all(lanes.map(run));
for (const { report } of ends) for (const name of failures(report)) console.log(`failed: ${name}`);
const sum = (key) => ends.reduce((all, { report }) => all + (report?.[key] ?? 0), 0);
console.log(`${sum('numPassedTests')} passed, ${sum('numFailedTests')} failed, ${sum('numPendingTests')} skipped`);
process.exit(ends.find(({ code }) => code !== 0)?.code ?? 0);

/** @returns {string[]} suites that could not be read, and tests, by name */
function failures(report) {
  return (report?.testResults ?? []).flatMap(({ name, status, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => `${file} > ${test.fullName}`);
    return failed.length === 0 && status === 'failed' ? [file] : failed;
  });
}

async function run({ name, args, later = false }) {
  const path = join(reports, `${name}.json`);
  const output = join(reports, `${name}.log`);
  rmSync(path, { force: true });
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const out = later ? openSync(output, 'w') : 'inherit';
  const child = spawn(
    process.execPath,
    [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${path}`, ...args],
    { cwd: root, stdio: ['inherit', out, out] },
  );
  const code = await new Promise((resolve) => child.once('exit', (status) => resolve(status ?? 1)));
  if (later) process.stdout.write(readFileSync(output));
  return { code, report: existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined };
}
