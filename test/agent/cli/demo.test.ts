import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { demo } from '../../../agent/demo/demo-config.js';
import { LeakCheck } from '../../support/leak-check.js';
import { berthMain, runBerth, runProcess } from './berth-world.js';
import { comparable, readTour } from './readme-tour.js';

const busy = existsSync(demo.runDir) || existsSync(demo.stateDir);

let running: ChildProcess | undefined;

afterEach(async () => {
  // Also after a failure in the middle: what runs cannot be taken away.
  if (running && running.exitCode === null && running.signalCode === null) {
    const ended = once(running, 'exit');
    running.kill('SIGINT');
    await ended;
  }
  if (!busy) await runBerth(['demo', '--clean']);
});

/** What only asks may be asked again until the pods are as far as the reader's are. */
const asks = /^(berth (get|why|logs|exec|trace)|curl) /;

/** Each command of the README's tour, in its order, prints what the README says. */
async function takeTour(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-tour-'));
  try {
    for (const { command, printed } of readTour()) {
      const script = `cd ${folder}\nberth() { ${process.execPath} ${berthMain} "$@"; }\n${command.replace(/^curl /, 'curl -sS ')}\n`;
      const deadline = performance.now() + 60_000;
      for (;;) {
        const ran = await runProcess('bash', ['--norc'], {
          input: `exec 2>&1\n${script}`,
          env: { BERTH_SOCKET: `${demo.runDir}/berth.sock` },
        });
        const [got, wanted] = [comparable(ran.stdout, hostname().toLowerCase()), comparable(printed)];
        if (JSON.stringify(got) === JSON.stringify(wanted)) break;
        if (!asks.test(command) || performance.now() > deadline)
          expect({ command, got }).toEqual({ command, got: wanted });
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('the demo runs all samples, the tour of the README is true, the pods are left running, and all of it is taken away again', async ({
  skip,
}) => {
  skip(busy, 'SKIPPED: a demo is on this machine already; remove it with: berth demo --clean');
  await using leaks = await LeakCheck.open({ tokens: ['berth-demo', 'berth0', '10.87.'] });
  const started = spawn(process.execPath, [berthMain, 'demo'], { stdio: ['ignore', 'pipe', 'pipe'] });
  running = started;
  let text = '';
  for (const stream of [started.stdout, started.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const deadline = performance.now() + 60_000;
  while (!text.includes('All pods are ready')) {
    if (performance.now() > deadline || started.exitCode !== null)
      throw new Error(`the samples are not ready:\n${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await takeTour();
  // Without --socket: nobody else is at the usual place, or the test would have to say so.
  const env = { BERTH_SOCKET: `${demo.runDir}/berth.sock` };
  const { stdout } = await runBerth(
    ['exec', 'settings', '--', 'sh', '-c', 'cat /etc/settings/greeting; echo; echo $PASSWORD'],
    { env },
  );
  expect(stdout).toBe('good morning\nopen sesame\n');
  expect((await runBerth(['logs', 'pair', '-c', 'client', '--tail', '1'], { env })).stdout).toBe(
    'hello from the server\n',
  );
  expect((await runBerth(['demo', '--clean'])).stderr).toContain('the demo runs already');

  const ended = once(started, 'close');
  started.kill('SIGINT');
  expect((await ended) as unknown[]).toEqual([0, null]);
  expect(text).toContain('the pods keep running');
  expect((await leaks.leaks()).length).toBeGreaterThan(0);
  expect(await runBerth(['demo', '--clean'])).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('The demo is gone'),
  });
  expect([existsSync(demo.stateDir), existsSync(demo.runDir)]).toEqual([false, false]);
  // Once more: nothing to do is a success.
  expect((await runBerth(['demo', '--clean'])).code).toBe(0);
});
