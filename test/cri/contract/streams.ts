import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { linkSignal } from '../../../base/signals.js';
import { CriError } from '../../../cri/index.js';
import { eventually } from '../../support/daemon.js';
import { code, decode, signal, sleeper, type ContractCases } from './cases.js';
import { Feed, Recorder, SlowSink, socketPair } from './streams-io.js';

/** Exec, attach and port-forward. */
export function streamCases({ subject, runPod, ended }: ContractCases): void {
  test('execSync: output of both streams and the exact code', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    const result = await subject().runtime.execSync(
      { containerId, cmd: ['sh', '-c', 'echo out; echo err >&2; exit 9'], timeout: 60 },
      signal,
    );
    expect([decode(result.stdout), decode(result.stderr), result.exitCode]).toEqual(['out\n', 'err\n', 9]);
  });

  test('execSync: more than an answer holds is cut, and the command runs to its end', async (context) => {
    if (subject().cannot?.['exec-cut'] !== undefined) return context.skip(subject().cannot?.['exec-cut']);
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    const script = 'head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; touch /ended; exit 4';
    const result = await subject().runtime.execSync({ containerId, cmd: ['sh', '-c', script], timeout: 60 }, signal);
    expect(result.exitCode).toBe(4);
    const length = (result.stdout?.length ?? 0) + (result.stderr?.length ?? 0);
    expect(length).toBeGreaterThan(15_000_000);
    expect(length).toBeLessThan(16 * 1024 * 1024);
    const after = await subject().runtime.execSync({ containerId, cmd: ['ls', '/ended'], timeout: 60 }, signal);
    expect(after.exitCode ?? 0).toBe(0);
  });

  test('execSync runs into its timeout and the command is gone', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    await expect(
      subject().runtime.execSync({ containerId, cmd: ['sleep', '717171'], timeout: 1 }, signal),
    ).rejects.toSatisfy(code('deadline-exceeded'));
    await eventually('the command to be gone', async () => {
      const ps = await subject().runtime.execSync({ containerId, cmd: ['ps'], timeout: 60 }, signal);
      return decode(ps.stdout).includes('717171') ? undefined : true;
    });
  });

  test('exec in a container that does not run is refused', async () => {
    await using pod = await runPod();
    const containerId = await pod.create('main', sleeper);
    if (subject().cannot?.['refuse-unstarted'] === undefined) {
      const early = subject().runtime.execSync({ containerId, cmd: ['true'], timeout: 60 }, signal);
      await expect(early).rejects.toBeInstanceOf(CriError);
    }
    await expect(
      subject().runtime.execSync({ containerId: 'f'.repeat(64), cmd: ['true'], timeout: 60 }, signal),
    ).rejects.toSatisfy(code('not-found'));
  });

  test('exec: input to its end, both outputs, exit code', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    const stdin = new PassThrough();
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const done = subject().streaming.exec(
      { containerId, cmd: ['sh', '-c', 'cat; echo err >&2; exit 5'], stdin: true, stdout: true, stderr: true },
      { stdin, stdout, stderr },
      signal,
    );
    stdin.write('one ');
    stdin.end('two');
    const result = await done;
    stdout.end();
    stderr.end();
    expect([await text(stdout), await text(stderr), result.exitCode]).toEqual(['one two', 'err\n', 5]);
  });

  test.each([false, true])(
    'exec: a command that cannot start is a failure, and says nothing on its output (terminal: %s)',
    async (tty) => {
      await using pod = await runPod();
      const containerId = await pod.start('main', sleeper);
      const [stdout, stderr] = [new Recorder(), new Recorder()];
      const exec = subject().streaming.exec(
        { containerId, cmd: ['no-such-program'], tty, stdout: true, stderr: !tty },
        tty ? { stdout } : { stdout, stderr },
        signal,
      );
      const why = subject().cannot?.['exec-start-failure'];
      if (why === undefined) {
        await expect(exec).rejects.toBeInstanceOf(CriError);
        await expect(exec).rejects.toThrow(/no-such-program|executable file/);
        expect([stdout.text, stderr.text]).toEqual(['', '']);
      } else {
        expect((await exec).exitCode).not.toBe(0);
      }
    },
  );

  test('exec: a megabyte each way arrives whole', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    const data = Buffer.alloc(1024 * 1024, 'abcdefgh');
    const stdin = new PassThrough();
    const sink = new SlowSink();
    const done = subject().streaming.exec(
      { containerId, cmd: ['cat'], stdin: true, stdout: true },
      { stdin, stdout: sink },
      signal,
    );
    stdin.end(data);
    expect((await done).exitCode).toBe(0);
    // The last of it may still wait for its turn in the slow sink.
    await new Promise<void>((resolve) => sink.end(resolve));
    expect(sink.bytes.equals(data)).toBe(true);
  });

  test('exec with a terminal: one stream, sizes, exit code', async (context) => {
    if (subject().cannot?.['exec-tty-resize'] !== undefined) return context.skip(subject().cannot?.['exec-tty-resize']);
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    const stdin = new PassThrough();
    const stdout = new Recorder();
    const sizes = new Feed<{ columns: number; rows: number }>();
    sizes.push({ columns: 111, rows: 33 });
    const done = subject().streaming.exec(
      {
        containerId,
        // A process may see its terminal a moment before the size: it is the last word that counts.
        cmd: [
          'sh',
          '-c',
          'size() { until stty size 2>/dev/null | grep "$1"; do sleep 0.02; done; }; size "33 111"; read x; size "22 77"; echo "got $x"; read x; exit 6',
        ],
        tty: true,
        stdin: true,
        stdout: true,
      },
      { stdin, stdout, resize: sizes },
      signal,
    );
    await eventually('the first size', () => stdout.text.includes('33 111'));
    sizes.push({ columns: 77, rows: 22 });
    stdin.write('go\n');
    // Some runtimes lose what a terminal says in its very last moment.
    await eventually('the answer', () => /22 77\r\ngot go\r\n/.test(stdout.text));
    stdin.write('end\n');
    expect((await done).exitCode).toBe(6);
  });

  // Which of the two ends is told first is up to the moment.
  const attempts = [1, 2];
  const untilEnd = ['sh', '-c', 'until test -e /end; do :; done'];

  test('execSync: a command that ends its container ends too, and all it said is there', async () => {
    await using pod = await runPod();
    for (const attempt of attempts) {
      const containerId = await pod.start(`main-${attempt}`, untilEnd);
      const cmd = ['sh', '-c', 'echo said; touch /end'];
      const { stdout } = await subject().runtime.execSync({ containerId, cmd, timeout: 60 }, signal);
      expect(decode(stdout)).toBe('said\n');
      expect((await ended(containerId)).exitCode).toBe(0);
    }
  });

  test.each([false, true])('exec: a command that ends its container ends too (terminal: %s)', async (tty) => {
    await using pod = await runPod();
    for (const attempt of attempts) {
      const containerId = await pod.start(`main-${attempt}`, untilEnd);
      const stdin = new PassThrough();
      const stdout = new Recorder();
      const cmd = ['sh', '-c', 'echo said; read x; touch /end'];
      using limit = linkSignal(signal, { timeoutMs: 60_000, what: 'the end of the command' });
      const request = { containerId, cmd, tty, stdin: true, stdout: true };
      const done = subject().streaming.exec(request, { stdin, stdout }, limit.signal);
      // Some runtimes lose what a terminal says in its very last moment.
      await eventually('its words', () => stdout.text.includes('said'));
      stdin.write('go\n');
      await done;
      expect((await ended(containerId)).exitCode).toBe(0);
    }
  });

  test('exec: an abort ends the command', async (context) => {
    if (subject().cannot?.['exec-abort'] !== undefined) return context.skip(subject().cannot?.['exec-abort']);
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    for (const tty of [false, true]) {
      const abort = new AbortController();
      const stdout = new Recorder();
      const done = subject().streaming.exec(
        { containerId, cmd: ['sh', '-c', 'echo up; exec sleep 828282'], tty, stdout: true },
        { stdout },
        abort.signal,
      );
      await eventually('the command to run', () => stdout.text.includes('up'));
      abort.abort(new Error('enough'));
      await expect(done).rejects.toThrow('enough');
      await eventually('the command to be gone', async () => {
        const ps = await subject().runtime.execSync({ containerId, cmd: ['ps'], timeout: 60 }, signal);
        return decode(ps.stdout).includes('828282') ? undefined : true;
      });
    }
  });

  test('attach: input goes in, output comes out, ends with the container', async (context) => {
    if (subject().cannot?.['attach-input'] !== undefined) return context.skip(subject().cannot?.['attach-input']);
    await using pod = await runPod();
    const containerId = await pod.start(
      'main',
      ['sh', '-c', 'while read x; do echo got $x; echo e $x >&2; done; exit 0'],
      { stdin: true, stdinOnce: true },
    );
    const stdin = new PassThrough();
    const [stdout, stderr] = [new Recorder(), new Recorder()];
    const done = subject().streaming.attach(
      { containerId, stdin: true, stdout: true, stderr: true },
      { stdin, stdout, stderr },
      signal,
    );
    stdin.write('one\n');
    await eventually('the first answer', () => stdout.text.includes('got one\n'));
    stdin.end('two\n');
    await done;
    expect([stdout.text, stderr.text]).toEqual(['got one\ngot two\n', 'e one\ne two\n']);
    expect((await ended(containerId)).exitCode).toBe(0);
  });

  test.each([false, true])('attach to a container that keeps no log (terminal: %s)', async (tty) => {
    await using pod = await runPod({ logDirectory: '' });
    const script = 'stty -echo 2>/dev/null; while read x; do echo got $x; echo e $x >&2; done; exit 0';
    const interactive = { logPath: '', tty, stdin: true, stdinOnce: true };
    const containerId = await pod.start('main', ['sh', '-c', script], interactive);
    const stdin = new PassThrough();
    const [stdout, stderr] = [new Recorder(), new Recorder()];
    const io = tty ? { stdin, stdout } : { stdin, stdout, stderr };
    const request = { containerId, tty, stdin: true, stdout: true, stderr: !tty };
    const done = subject().streaming.attach(request, io, signal);
    await eventually('the first answer', () => {
      stdin.write('one\n');
      return stdout.text.includes('got one');
    });
    const long = 'x'.repeat(3000);
    stdin.write(`${long}\n`);
    await eventually('the long answer', () => stdout.text.includes(`got ${long}`));
    if (tty) stdin.write(Buffer.from([4]));
    else stdin.end();
    await done;
    stdin.end();
    expect(stdout.text).toMatch(tty ? /e one\r\n/ : /^(got one\n)+got x+\n$/);
    if (!tty) expect(stderr.text).toMatch(/^(e one\n)+e x+\n$/);
    const end = await ended(containerId);
    expect(end.exitCode).toBe(0);
    if (subject().cannot?.['no-log'] === undefined) expect(end.logPath).toBe('');
  });

  test('port-forward reaches a listener on loopback; without one it is refused', async () => {
    await using pod = await runPod();
    await pod.start('main', ['nc', '-ll', '-p', '8123', '-e', 'cat']);
    const forward = async (port: number): Promise<string> => {
      const [near, far] = await socketPair();
      const done = subject().streaming.portForward({ podSandboxId: pod.id, port }, far, signal);
      done.catch(() => far.destroy());
      near.end('ping\n');
      const answer = text(near).catch(() => '');
      await done;
      const words = await answer;
      far.destroy();
      return words;
    };
    expect(
      await eventually('the listener', async () => {
        try {
          return await forward(8123);
        } catch {
          return undefined;
        }
      }),
    ).toBe('ping\n');
    await expect(forward(9)).rejects.toSatisfy(code('failed-precondition'));
  });

  test('port-forward ends when the pod has said all it says, though the client says nothing', async () => {
    await using pod = await runPod();
    await pod.start('main', ['nc', '-ll', '-p', '8124', '-e', 'echo', 'bye']);
    const greeting = async (): Promise<{ readonly words: string; readonly ms: number }> => {
      const [near, far] = await socketPair();
      const before = performance.now();
      const done = subject().streaming.portForward({ podSandboxId: pod.id, port: 8124 }, far, signal);
      try {
        const words = text(near);
        words.catch(() => {});
        await done;
        return { words: await words, ms: performance.now() - before };
      } finally {
        near.destroy();
        far.destroy();
      }
    };
    const first = await eventually('the listener', async () => {
      const told = await greeting();
      return told.words !== '' && told;
    });
    expect(first.words).toBe('bye\n');
    // Where the end is not passed on, it comes after the ten seconds that an answer may take.
    expect(first.ms).toBeLessThan(9000);
  });
}
