import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { demo } from '../../agent/demo/demo-config.js';
import { LeakCheck } from '../support/leak-check.js';
import { berthMain, runBerth } from './berth-world.js';

const busy = existsSync(demo.runDir) || existsSync(demo.stateDir);

afterEach(async () => {
  if (!busy) await runBerth(['demo', '--clean']);
});

test('the demo runs all samples, leaves them running, and takes everything away again', async ({ skip }) => {
  skip(busy, 'SKIPPED: a demo is on this machine already; remove it with: berth demo --clean');
  await using leaks = await LeakCheck.open({ tokens: ['berth-demo', 'berth0', '10.87.'] });
  const started = spawn(process.execPath, [berthMain, 'demo'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [started.stdout, started.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const deadline = performance.now() + 60_000;
  while (!text.includes('All pods are ready')) {
    if (performance.now() > deadline || started.exitCode !== null)
      throw new Error(`the samples are not ready:\n${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(await (await fetch('http://127.0.0.1:8080/')).text()).toContain('<h1>It runs</h1>');
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

  started.kill('SIGINT');
  expect((await once(started, 'exit')) as unknown[]).toEqual([0, null]);
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
