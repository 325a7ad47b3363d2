import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { spawn } from 'node:child_process';
import { WebSocket } from 'ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../base/log.js';
import type { CriRuntime } from '../../../cri/index.js';
import { serveCri, type CriServer } from '../../../cri/serve/index.js';
import { busyboxReference, Containerd, missingForContainerd } from '../../support/containerd.js';
import { eventually } from '../../support/daemon.js';

const crictlPath = process.env['BERTH_CRICTL'] ?? '/usr/local/bin/crictl';
const missing = missingForContainerd('2.x') ?? (existsSync(crictlPath) ? undefined : crictlPath);
if (missing !== undefined) console.warn(`SKIPPED a served runtime driven by crictl: needs ${missing}`);

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe.skipIf(missing !== undefined)('crictl against a served runtime (containerd behind it)', () => {
  const { signal } = new AbortController();
  let containerd: Containerd;
  let remote: CriRuntime;
  let server: CriServer;
  let podSandboxId = '';
  let containerId = '';

  beforeAll(async () => {
    containerd = await Containerd.open('2.x');
    remote = await containerd.connect();
    const socketPath = join(containerd.folder, 'berth.sock');
    server = await serveCri(remote, { socketPath }, { log: silentLogger }, signal);
    const pod = {
      metadata: { name: 'p', namespace: 'd', uid: 'u', attempt: 0 },
      hostname: 'p',
      log_directory: join(containerd.folder, 'logs'),
      linux: { cgroup_parent: `/${containerd.name}` },
    };
    const script = 'echo up; nc -ll -p 8080 -e cat & while read x; do echo got $x; done; sleep 1000';
    const container = {
      metadata: { name: 'c' },
      image: { image: busyboxReference },
      command: ['sh', '-c', script],
      log_path: 'c.log',
      stdin: true,
      linux: {},
    };
    await writeFile(join(containerd.folder, 'pod.json'), JSON.stringify(pod));
    await writeFile(join(containerd.folder, 'container.json'), JSON.stringify(container));
    podSandboxId = (await fine('runp', file('pod.json'))).trim();
    containerId = (await fine('create', podSandboxId, file('container.json'), file('pod.json'))).trim();
    await fine('start', containerId);
  });

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await remote?.[Symbol.asyncDispose]();
    await containerd?.[Symbol.asyncDispose]();
  });

  const file = (name: string): string => join(containerd.folder, name);

  function start(...args: string[]): ReturnType<typeof spawn> {
    const common = ['-r', server.endpoint, '-i', server.endpoint, '--timeout', '20s'];
    return spawn(crictlPath, [...common, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: '/usr/bin:/bin' } });
  }

  async function crictl(input: string | Buffer, ...args: string[]): Promise<Ran> {
    const child = start(...args);
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    const code = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout as never), text(child.stderr as never)]);
    return { code: await code, stdout, stderr };
  }

  async function fine(...args: string[]): Promise<string> {
    const ran = await crictl('', ...args);
    if (ran.code !== 0) throw new Error(`crictl ${args.join(' ')}: ${ran.stderr}`);
    return ran.stdout;
  }

  test('questions are answered', async () => {
    expect(await fine('version')).toContain('RuntimeName:  containerd');
    expect(await fine('info')).toContain('RuntimeReady');
    expect(await fine('images')).toContain('docker.io/library/busybox');
    expect(await fine('ps', '-q')).toBe(`${containerId}\n`);
    expect(await fine('pods', '-q')).toBe(`${podSandboxId}\n`);
    expect(await fine('inspect', containerId)).toContain('CONTAINER_RUNNING');
    expect(await fine('inspectp', podSandboxId)).toContain('SANDBOX_READY');
    expect(await fine('stats', '-o', 'json')).toContain(containerId);
    expect(await fine('imagefsinfo')).toContain('usedBytes');
    await eventually('the log', async () => (await fine('logs', containerId)).includes('up\n'));
    const absent = await crictl('', 'inspect', 'f'.repeat(64));
    expect(absent.code).not.toBe(0);
    expect(absent.stderr).toMatch(/not found|NotFound/);
  });

  describe.each(['websocket', 'spdy'])('over %s', (transport) => {
    const exec = async (input: string | Buffer, ...args: string[]): Promise<Ran> =>
      await crictl(input, 'exec', '--transport', transport, ...args);

    test('exec: both outputs and the exit code', async () => {
      const ran = await exec('', containerId, 'sh', '-c', 'echo out; echo err >&2; exit 3');
      expect(ran.stdout).toBe('out\n');
      expect(ran.stderr).toContain('err\n');
      expect(ran.stderr).toContain('exit code 3');
    });

    test('exec: input to its end, a megabyte each way', async () => {
      const data = 'abcdefgh'.repeat(128 * 1024);
      const ran = await exec(data, '-i', containerId, 'cat');
      expect(ran.code).toBe(0);
      expect(ran.stdout === data).toBe(true);
    });

    test('attach: input goes in, output comes out', async () => {
      const child = start('attach', '--transport', transport, '-i', containerId);
      let seen = '';
      child.stdout?.on('data', (chunk: Buffer) => (seen += chunk.toString()));
      const closed = new Promise((resolve) => child.once('close', resolve));
      await eventually('the answer', () => {
        child.stdin?.write(`hi-${transport}\n`);
        return seen.includes(`got hi-${transport}\n`);
      });
      child.kill('SIGKILL');
      await closed;
    });

    test('port-forward: connections one after another', async () => {
      const child = start('port-forward', '--transport', transport, podSandboxId, ':8080');
      let said = '';
      child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const closed = new Promise((resolve) => child.once('close', resolve));
      try {
        const port = await eventually('crictl listens', () => /127\.0\.0\.1:(\d+) ->/.exec(said)?.[1]);
        for (const word of ['one', 'two']) expect(await echo(Number(port), word)).toBe(word);
      } finally {
        child.kill('SIGKILL');
        await closed;
      }
    });
  });

  async function echo(port: number, word: string): Promise<string> {
    const socket = createConnection({ host: '127.0.0.1', port });
    try {
      return await new Promise<string>((resolve, reject) => {
        socket.once('data', (chunk) => resolve(chunk.toString()));
        socket.once('error', reject);
        socket.write(word);
      });
    } finally {
      socket.destroy();
    }
  }

  describe('the channel protocols of WebSocket', () => {
    async function url(cmd: readonly string[], streams: object): Promise<string> {
      await using client = await connectTo(server.endpoint);
      const answer = await client.exec({ containerId, cmd: [...cmd], ...streams });
      return answer.replace('http:', 'ws:');
    }

    test.each([
      ['v5.channel.k8s.io', false, true],
      ['v4.channel.k8s.io', false, false],
      ['v4.base64.channel.k8s.io', true, false],
    ])('%s', async (protocol, base64, canClose) => {
      const script = canClose ? 'cat; echo e >&2; exit 4' : 'read x; echo $x; echo e >&2; exit 4';
      const socket = new WebSocket(
        await url(['sh', '-c', script], { stdin: true, stdout: true, stderr: true }),
        protocol,
      );
      const channels = ['', '', '', '', ''];
      socket.on('message', (message: Buffer) => {
        const channel = base64 ? (message[0] ?? 0) - 48 : (message[0] ?? 0);
        channels[channel] += base64
          ? Buffer.from(message.toString('latin1', 1), 'base64').toString()
          : message.toString('utf8', 1);
      });
      await new Promise((resolve, reject) => {
        socket.once('open', resolve);
        socket.once('error', reject);
      });
      expect(socket.protocol).toBe(protocol);
      const closed = new Promise<number>((resolve) => socket.once('close', resolve));
      socket.send(base64 ? `0${Buffer.from('line\n').toString('base64')}` : Buffer.from('\0line\n'));
      if (canClose) socket.send(Buffer.from([255, 0]));
      expect(await closed).toBe(1000);
      expect(channels[1]).toBe('line\n');
      expect(channels[2]).toBe('e\n');
      expect(JSON.parse(channels[3] ?? '')).toMatchObject({
        status: 'Failure',
        reason: 'NonZeroExitCode',
        details: { causes: [{ reason: 'ExitCode', message: '4' }] },
      });
    });

    test('a URL is good once; a protocol nobody knows is refused', async () => {
      const once = await url(['true'], { stdout: true });
      const first = new WebSocket(once, 'v5.channel.k8s.io');
      await new Promise((resolve) => first.once('close', resolve));
      const second = new WebSocket(once, 'v5.channel.k8s.io');
      const refusal = await new Promise<Error>((resolve) => second.once('error', resolve));
      expect(refusal.message).toContain('404');
      const odd = new WebSocket(await url(['true'], { stdout: true }), 'v9.channel.k8s.io');
      expect((await new Promise<Error>((resolve) => odd.once('error', resolve))).message).toContain('403');
    });
  });

  test('wrong requests are refused with the code the API asks for', async () => {
    await using client = await connectTo(server.endpoint);
    await expect(client.exec({ containerId, cmd: ['true'] })).rejects.toMatchObject({ code: 3 });
    await expect(client.exec({ containerId, cmd: [], stdout: true })).rejects.toMatchObject({ code: 3 });
    await expect(
      client.exec({ containerId, cmd: ['sh'], tty: true, stdout: true, stderr: true }),
    ).rejects.toMatchObject({ code: 3 });
    await expect(client.exec({ containerId: 'f'.repeat(64), cmd: ['sh'], stdout: true })).rejects.toMatchObject({
      code: 5,
    });
  });

  test('a second server on the same socket is refused; one that was left is replaced', async () => {
    const socketPath = server.endpoint.replace('unix://', '');
    const again = serveCri(remote, { socketPath }, { log: silentLogger }, signal);
    await expect(again).rejects.toThrow('another process serves there');
    await writeFile(`${socketPath}.file`, 'precious');
    const onFile = serveCri(remote, { socketPath: `${socketPath}.file` }, { log: silentLogger }, signal);
    await expect(onFile).rejects.toThrow('not a socket');
  });
});

/** The bare call, to see the URL and the status code. */
async function connectTo(endpoint: string): Promise<AsyncDisposable & { exec(request: object): Promise<string> }> {
  const { credentials } = await import('@grpc/grpc-js');
  const { loadService } = await import('../../../proto/load.js');
  const Service = loadService('cri-v1', 'runtime.v1.RuntimeService');
  const client = new Service(endpoint, credentials.createInsecure());
  return {
    exec: (request) =>
      new Promise((resolve, reject) =>
        client['exec']?.(request, (err: Error | null, answer: { url: string }) =>
          err ? reject(err) : resolve(answer.url),
        ),
      ),
    [Symbol.asyncDispose]: async () => client.close(),
  };
}
