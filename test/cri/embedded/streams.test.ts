import { readdir, readFile, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Duplex, PassThrough, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logText, missingComponents, neverAborted, RuntimeWorld, until } from './runtime-world.js';

const missing = missingComponents();
if (missing !== '') console.warn(`SKIPPED embedded runtime streams: ${missing}`);

class Words extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.text += chunk.toString('utf8');
    callback();
  }
}

/** Takes nothing until it is told to. */
class Stuck extends Writable {
  bytes = 0;
  #waiting: (() => void) | undefined;
  #open = false;

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.bytes += chunk.length;
    if (this.#open) callback();
    else this.#waiting = callback;
  }

  release(): void {
    this.#open = true;
    this.#waiting?.();
  }
}

/** Two ends of one connection, each of which can close its half. */
function duplexPair(): [Duplex, Duplex] {
  const [there, back] = [new PassThrough(), new PassThrough()];
  return [Duplex.from({ writable: there, readable: back }), Duplex.from({ writable: back, readable: there })];
}

describe.skipIf(missing !== '')('logs and streams of the embedded runtime', () => {
  let world: RuntimeWorld;
  let sandbox: string;
  beforeAll(async () => {
    world = await RuntimeWorld.open();
    sandbox = await world.runSandbox();
  });
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
  });
  const remove = async (containerId: string): Promise<void> => {
    await world.runtime.removeContainer({ containerId }, neverAborted());
  };

  test('rotation under load loses no line', async () => {
    const script = 'i=0; until test -e /enough; do i=$((i+1)); echo "line $i"; done';
    const id = await world.startContainer(sandbox, 'loud', ['sh', '-c', script]);
    const path = (await world.status(id)).logPath ?? '';
    const rotations = 20;
    for (let index = 0; index < rotations; index++) {
      await until(async () => (await stat(path)).size > 0 || undefined, 'a line in the new file');
      await rename(path, `${path}.${index}`);
      await world.runtime.reopenContainerLog({ containerId: id }, neverAborted());
    }
    // It may be ended with its container, before its own end.
    await world.runtime.execSync({ containerId: id, cmd: ['touch', '/enough'], timeout: 60 }, neverAborted());
    await world.exited(id);
    let text = '';
    for (let index = 0; index < rotations; index++) text += await readFile(`${path}.${index}`, 'utf8');
    text += await readFile(path, 'utf8');
    const numbers = [...logText(text).matchAll(/^line (\d+)$/gm)].map((match) => Number(match[1]));
    expect(numbers.length).toBeGreaterThanOrEqual(rotations);
    expect(numbers.every((number, index) => number === index + 1)).toBe(true);
    const own = (await readdir(dirname(path))).filter((file) => file.startsWith(basename(path)));
    expect(own).toHaveLength(rotations + 1);
    await remove(id);
  });

  test('attach shows partial lines at once, follows a rotation, and several see the same', async () => {
    const id = await world.startContainer(
      sandbox,
      'prompt',
      ['sh', '-c', 'while true; do printf "name? "; read n || exit 0; echo "hello $n"; done'],
      {
        stdin: true,
        stdinOnce: false,
      },
    );
    const [one, two] = [new Words(), new Words()];
    const stdin = new PassThrough();
    const attach = [
      world.streaming.attach({ containerId: id, stdin: true, stdout: true }, { stdin, stdout: one }, neverAborted()),
      world.streaming.attach({ containerId: id, stdout: true }, { stdout: two }, neverAborted()),
    ];
    await until(() => {
      stdin.write('ann\n');
      return one.text.includes('hello ann\nname? ') && two.text.includes('hello ann\nname? ');
    }, 'the prompt');
    const path = (await world.status(id)).logPath ?? '';
    // Those of root's group read logs too.
    const modeOf = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8);
    expect(await modeOf(path)).toBe('640');
    await rename(path, `${path}.1`);
    await world.runtime.reopenContainerLog({ containerId: id }, neverAborted());
    expect(await modeOf(path)).toBe('640');
    stdin.write('bob\n');
    await until(() => one.text.endsWith('hello bob\nname? '), 'the answer after the rotation');
    // Not stdinOnce: the client going away does not close the container's input.
    stdin.end();
    expect((await world.status(id)).state).toBe('CONTAINER_RUNNING');
    await world.runtime.stopContainer({ containerId: id, timeout: 0 }, neverAborted());
    await Promise.all(attach);
    expect(two.text.endsWith('hello bob\nname? ')).toBe(true);
    await remove(id);
  });

  test('a terminal: attach sees it raw, a new size reaches the process', async () => {
    const id = await world.startContainer(sandbox, 'term', ['sh', '-c', 'while read x; do stty size; done'], {
      tty: true,
      stdin: true,
    });
    const stdout = new Words();
    const stdin = new PassThrough();
    const sizes = (async function* sizes() {
      yield { columns: 123, rows: 45 };
    })();
    const abort = new AbortController();
    const attached = world.streaming.attach(
      { containerId: id, stdin: true, stdout: true, tty: true },
      { stdin, stdout, resize: sizes },
      abort.signal,
    );
    await until(() => {
      stdin.write('\n');
      return stdout.text.includes('45 123\r\n');
    }, 'the size');
    abort.abort(new Error('client left'));
    await expect(attached).rejects.toThrow('client left');
    expect((await world.status(id)).state).toBe('CONTAINER_RUNNING');
    await remove(id);
  });

  test('exec with a terminal has back pressure: a client that does not read holds the command, not our memory', async () => {
    const id = await world.startContainer(sandbox, 'pressed', ['sleep', '1000']);
    const stdout = new Stuck();
    const done = world.streaming.exec(
      { containerId: id, cmd: ['sh', '-c', 'yes 0123456789 | head -c 3000000'], tty: true, stdout: true },
      { stdout },
      neverAborted(),
    );
    await until(() => stdout.bytes > 0, 'the first bytes');
    await world.exec(id, 'sleep', '0.5');
    expect(stdout.bytes + stdout.writableLength).toBeLessThan(1_000_000);
    stdout.release();
    expect((await done).exitCode).toBe(0);
    await until(() => stdout.bytes >= 3_000_000, 'all of it');
    await remove(id);
  });

  test('exec with a terminal that is cut off while it starts leaves no command', async () => {
    const id = await world.startContainer(sandbox, 'cut', ['sleep', '1000']);
    for (const afterMs of [1, 5, 10, 15, 20, 25, 30, 40, 60]) {
      const abort = new AbortController();
      const done = world.streaming.exec(
        { containerId: id, cmd: ['sleep', '7331'], tty: true, stdout: true },
        { stdout: new Words() },
        abort.signal,
      );
      setTimeout(() => abort.abort(new Error('client left')), afterMs);
      await expect(done).rejects.toThrow('client left');
      expect(await world.exec(id, 'ps', '-o', 'args'), `cut off after ${afterMs} ms`).not.toContain('7331');
    }
    await remove(id);
  });

  test('exec runs as the container does: user, environment, groups; a signal is 128 and its number', async () => {
    const id = await world.startContainer(sandbox, 'who', ['sleep', '1000'], {
      envs: [{ key: 'MINE', value: new TextEncoder().encode('yes') }],
      linux: { securityContext: { namespaceOptions: { pid: 'CONTAINER' }, runAsUser: { value: 1000 } } },
    });
    expect(await world.exec(id, 'sh', '-c', 'id -u; echo $MINE')).toBe('1000\nyes');
    const killed = await world.runtime.execSync(
      { containerId: id, cmd: ['sh', '-c', 'kill -KILL $$'], timeout: 60 },
      neverAborted(),
    );
    expect(killed.exitCode).toBe(137);
    await expect(
      world.runtime.execSync({ containerId: id, cmd: ['/no/such'], timeout: 60 }, neverAborted()),
    ).rejects.toThrow(/\/no\/such/);
    await remove(id);
  });

  test('a background process of an exec does not hold its end', async () => {
    const id = await world.startContainer(sandbox, 'daemon', ['sleep', '1000']);
    const before = performance.now();
    expect(await world.exec(id, 'sh', '-c', 'sleep 30 & echo started')).toBe('started');
    expect(performance.now() - before).toBeLessThan(25_000);
    await remove(id);
  });

  test.each([
    ['with IPv6', {}],
    ['with IPv6 off', { 'net.ipv6.conf.all.disable_ipv6': '1' }],
  ])(
    'port-forward %s ends with the side that ends first, and leaves a client that closed its half its answer',
    async (name, sysctls) => {
      const securityContext = { namespaceOptions: { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } } as const;
      const pod = await world.runSandbox(name.replaceAll(' ', '-').toLowerCase(), {
        linux: { cgroupParent: world.cgroupParent, securityContext, sysctls },
      });
      await world.startContainer(pod, 'greets', ['nc', '-ll', '-p', '8001', '-e', 'echo', 'bye']);
      await world.startContainer(pod, 'answers', [
        'nc',
        '-ll',
        '-p',
        '8002',
        '-e',
        'sh',
        '-c',
        'cat; sleep 1; echo late',
      ]);
      const through = async (port: number, words: string | undefined): Promise<{ text: string; ms: number }> => {
        const [near, far] = duplexPair();
        const answer = new Words();
        near.pipe(answer);
        const before = performance.now();
        const done = world.streaming.portForward({ podSandboxId: pod, port }, far, neverAborted());
        if (words !== undefined) near.end(words);
        await done;
        await until(() => near.readableEnded, 'the end');
        return { text: answer.text, ms: performance.now() - before };
      };
      const listening = async (port: number): Promise<{ text: string; ms: number }> =>
        await until(async () => await through(port, '').catch(() => undefined), `a listener on ${port}`);
      await Promise.all([listening(8001), listening(8002)]);
      const greeted = await through(8001, undefined);
      expect(greeted.text).toBe('bye\n');
      // Where the end is not passed on, the client waits for the ten seconds that an answer may take.
      expect(greeted.ms).toBeLessThan(9000);
      expect((await through(8002, 'question\n')).text).toBe('question\nlate\n');
      await world.runtime.removePodSandbox({ podSandboxId: pod }, neverAborted());
    },
  );

  test('the first size of a terminal comes with the start of the command, and no other is seen', async () => {
    const id = await world.startContainer(sandbox, 'sized', ['sleep', '1000']);
    // crun sets the size of an exec beside the start of its command: on a busy machine it comes later, and until then stty finds none.
    const ask = 'until size=$(stty size 2>/dev/null) && test -n "$size"; do sleep 0.01; done; echo $size';
    for (let round = 0; round < 10; round++) {
      const stdout = new Words();
      const resize = (async function* sizes() {
        yield { columns: 90 + round, rows: 30 + round };
        await new Promise(() => {});
      })();
      const { exitCode } = await world.streaming.exec(
        { containerId: id, cmd: ['sh', '-c', ask], tty: true, stdout: true },
        { stdout, resize },
        neverAborted(),
      );
      expect([exitCode, stdout.text]).toEqual([0, `${30 + round} ${90 + round}\r\n`]);
    }
    await remove(id);
  });

  test('nothing of an exec is left in the run folder', async () => {
    const execs = (): Promise<string[]> => readdir(join(world.options.runDir, 'execs'));
    await until(async () => (await execs()).length === 0, 'nothing to be left');
  });

  test('a container without a log path writes nothing; who attaches sees all of it from then on, however much it is', async () => {
    const script =
      'echo before; read x; i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; echo err $i >&2; done; ' +
      'head -c 300000 /dev/zero | tr "\\0" a; echo; echo end; exec sleep 1000';
    const id = await world.startContainer(sandbox, 'silent', ['sh', '-c', script], { logPath: '', stdin: true });
    expect(await world.status(id)).toMatchObject({ state: 'CONTAINER_RUNNING', logPath: '' });
    await expect(world.runtime.reopenContainerLog({ containerId: id }, neverAborted())).rejects.toThrow(/keeps none/);
    const stdin = new PassThrough();
    const [stdout, stderr] = [new Words(), new Words()];
    const stop = new AbortController();
    const attached = world.streaming.attach(
      { containerId: id, stdin: true, stdout: true, stderr: true },
      { stdin, stdout, stderr },
      stop.signal,
    );
    stdin.write('go\n');
    await until(() => stdout.text.endsWith('\nend\n') || undefined, 'the last word');
    const numbered = (word: string): string =>
      Array.from({ length: 500 }, (_, index) => `${word} ${index + 1}\n`).join('');
    // A shell that has not come to its first word when the client attaches is heard with it.
    const said = stdout.text.replace(/^before\n/, '').replace('a'.repeat(300_000), '300000 times a');
    expect(said).toBe(`${numbered('line')}300000 times a\nend\n`);
    await until(() => stderr.text === numbered('err') || undefined, 'the other stream');
    stop.abort(new Error('enough'));
    await expect(attached).rejects.toThrow('enough');
    expect((await world.status(id)).state).toBe('CONTAINER_RUNNING');
    await remove(id);
    expect(await readdir(join(world.logFolder, 'pod')).catch(() => [])).not.toContain('silent_0.log');
  });

  test('stats: network, processes, writable layer, metrics', async () => {
    const id = await world.startContainer(sandbox, 'busy', [
      'sh',
      '-c',
      'dd if=/dev/zero of=/written bs=1k count=2048 2>/dev/null; sleep 1000 & exec sleep 1000',
    ]);
    const layer = await until(async () => {
      const { stats } = await world.runtime.containerStats({ containerId: id }, neverAborted());
      return (stats?.writableLayer?.usedBytes?.value ?? 0) > 2_000_000 ? stats?.writableLayer : undefined;
    }, 'the size of the writable layer');
    expect(layer?.usedBytes?.value).toBeLessThan(4_000_000);
    expect(layer?.inodesUsed?.value).toBeGreaterThan(1);
    const pod = await until(async () => {
      const { stats } = await world.runtime.podSandboxStats({ podSandboxId: sandbox }, neverAborted());
      return (stats?.linux?.process?.processCount?.value ?? 0) >= 2 ? stats : undefined;
    }, 'its two processes');
    expect(pod?.linux?.containers?.map((one) => one.attributes?.id)).toContain(id);
    const { descriptors = [] } = await world.runtime.listMetricDescriptors({}, neverAborted());
    const { podMetrics = [] } = await world.runtime.listPodSandboxMetrics({}, neverAborted());
    const keys = new Map(descriptors.map((descriptor) => [descriptor.name, descriptor.labelKeys?.length]));
    const metrics = podMetrics.flatMap((one) => [
      ...(one.metrics ?? []),
      ...(one.containerMetrics ?? []).flatMap((container) => container.metrics ?? []),
    ]);
    expect(metrics.length).toBeGreaterThan(10);
    for (const { name, labelValues } of metrics) expect([name, labelValues?.length]).toEqual([name, keys.get(name)]);
    await remove(id);
  });

  test('stop: a shorter timeout beside a running stop shortens it, the signal is sent once', async () => {
    const id = await world.startContainer(sandbox, 'stubborn', [
      'sh',
      '-c',
      'trap "echo asked" TERM; echo up; while true; do sleep 0.05; done',
    ]);
    const path = (await world.status(id)).logPath ?? '';
    await until(async () => (await readFile(path, 'utf8')).includes('up') || undefined, 'the trap');
    const before = performance.now();
    const long = world.runtime.stopContainer({ containerId: id, timeout: 600 }, neverAborted());
    await until(async () => (await readFile(path, 'utf8')).includes('asked') || undefined, 'the signal');
    await world.runtime.stopContainer({ containerId: id, timeout: 1 }, neverAborted());
    await long;
    expect(performance.now() - before).toBeLessThan(20_000);
    expect((await readFile(path, 'utf8')).match(/asked/g)).toHaveLength(1);
    await remove(id);
  });

  test('the stop signal of the request and of the image', async () => {
    const script = 'trap "exit 61" USR1; trap "exit 62" INT; echo up; while true; do sleep 0.05; done';
    const own = await RuntimeWorld.open({ image: { stopSignal: 'SIGINT' } });
    try {
      const pod = await own.runSandbox();
      for (const [name, stopSignal, code] of [
        ['a', undefined, 62],
        ['b', 'SIGUSR1', 61],
      ] as const) {
        const id = await own.startContainer(pod, name, ['sh', '-c', script], { stopSignal });
        const path = (await own.status(id)).logPath ?? '';
        await until(async () => (await readFile(path, 'utf8')).includes('up') || undefined, 'the trap');
        expect((await own.status(id)).stopSignal).toBe(stopSignal ?? 'SIGINT');
        await own.runtime.stopContainer({ containerId: id, timeout: 20 }, neverAborted());
        expect((await own.status(id)).exitCode).toBe(code);
      }
    } finally {
      await own[Symbol.asyncDispose]();
    }
  });

  test('runc as the handler of a pod: the same life', async () => {
    const { podSandboxId = '' } = await world.runtime.runPodSandbox(
      { config: world.sandboxConfig('other-runtime'), runtimeHandler: 'runc' },
      neverAborted(),
    );
    const id = await world.startContainer(
      podSandboxId,
      'main',
      ['sh', '-c', 'trap "exit 8" TERM; echo up; while true; do sleep 0.05; done'],
      {
        linux: {
          securityContext: { namespaceOptions: { pid: 'CONTAINER' }, seccomp: { profileType: 'RuntimeDefault' } },
        },
      },
    );
    expect(await world.exec(id, 'hostname')).toBe('other-runtime');
    const path = (await world.status(id)).logPath ?? '';
    await until(async () => (await readFile(path, 'utf8')).includes('up') || undefined, 'the trap');
    await world.runtime.stopContainer({ containerId: id, timeout: 20 }, neverAborted());
    expect(await world.status(id)).toMatchObject({ exitCode: 8, state: 'CONTAINER_EXITED' });
    await world.runtime.removePodSandbox({ podSandboxId }, neverAborted());
  });
});
