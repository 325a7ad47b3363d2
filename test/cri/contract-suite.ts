import { readFile, rename } from 'node:fs/promises';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { PassThrough, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CriError,
  isCriCode,
  type ImageService,
  type RuntimeService,
  type StreamingService,
  type v1,
} from '../../cri/index.js';
import { verbCases, type VerbLack } from './contract-verbs.js';

/** One runtime under test with what the suite needs of its surroundings. */
export interface ContractSubject extends AsyncDisposable {
  readonly runtime: RuntimeService;
  readonly streaming: StreamingService;
  /** Absent where another part keeps the images. */
  readonly images?: ImageService | undefined;
  /** An image with busybox and its applets in /bin, present, without an entrypoint. */
  readonly imageRef: string;
  /** Pods' logs go below this folder. */
  readonly logFolder: string;
  /** Parent cgroup for sandboxes; empty for none. */
  readonly cgroupParent: string;
  /** Left out of the suite, with the reason the runtime cannot do it. */
  readonly cannot?: Partial<
    Record<
      | 'attach-input'
      | 'exec-tty-resize'
      | 'exec-abort'
      | 'exec-cut'
      | 'no-log'
      | 'stats'
      | 'events'
      | 'shared-pid'
      | 'shared-uts'
      | 'refuse-create-in-stopped'
      | 'refuse-taken-name'
      | VerbLack,
      string
    >
  >;
}

/** The CRI contract as every implementation must keep it: in process, over Docker, and on the wire. */
export function criContractSuite(name: string, open: () => Promise<ContractSubject>): void {
  describe(`CRI contract: ${name}`, () => {
    let subject: ContractSubject;
    let pods = 0;
    beforeAll(async () => {
      subject = await open();
    });
    afterAll(async () => {
      await subject?.[Symbol.asyncDispose]();
    });

    const signal = (): AbortSignal => new AbortController().signal;
    const decode = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

    class Pod implements AsyncDisposable {
      readonly config: v1.PodSandboxConfig;
      id = '';

      constructor(overrides: Partial<v1.PodSandboxConfig> = {}) {
        const name = `contract-${process.pid}-${++pods}`;
        this.config = {
          metadata: { name, namespace: 'contract', uid: `uid-${name}`, attempt: 0 },
          hostname: name,
          logDirectory: `${subject.logFolder}/${name}`,
          dnsConfig: { servers: ['10.96.0.10'], searches: ['a.test', 'b.test'], options: ['ndots:5'] },
          labels: { suite: 'contract', pod: name },
          annotations: { a: 'b' },
          ...overrides,
          linux: {
            cgroupParent: subject.cgroupParent,
            securityContext: { namespaceOptions: { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } },
            ...overrides.linux,
          },
        };
      }

      static async run(overrides: Partial<v1.PodSandboxConfig> = {}): Promise<Pod> {
        const pod = new Pod(overrides);
        pod.id = (await subject.runtime.runPodSandbox({ config: pod.config }, signal())).podSandboxId ?? '';
        return pod;
      }

      containerConfig(
        name: string,
        command: readonly string[],
        overrides: Partial<v1.ContainerConfig> = {},
      ): v1.ContainerConfig {
        return {
          metadata: { name, attempt: 0 },
          // As the kubelet says it; CRI-O asks for it.
          image: { image: subject.imageRef, userSpecifiedImage: subject.imageRef },
          command,
          logPath: `${name}_0.log`,
          labels: { container: name },
          annotations: { c: 'd' },
          ...overrides,
          linux: {
            securityContext: { namespaceOptions: { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } },
            ...overrides.linux,
          },
        };
      }

      async create(
        name: string,
        command: readonly string[],
        overrides: Partial<v1.ContainerConfig> = {},
      ): Promise<string> {
        const config = this.containerConfig(name, command, overrides);
        const request = { podSandboxId: this.id, config, sandboxConfig: this.config };
        return (await subject.runtime.createContainer(request, signal())).containerId ?? '';
      }

      async start(
        name: string,
        command: readonly string[],
        overrides: Partial<v1.ContainerConfig> = {},
      ): Promise<string> {
        const containerId = await this.create(name, command, overrides);
        await subject.runtime.startContainer({ containerId }, signal());
        return containerId;
      }

      async [Symbol.asyncDispose](): Promise<void> {
        await subject.runtime.stopPodSandbox({ podSandboxId: this.id }, signal());
        await subject.runtime.removePodSandbox({ podSandboxId: this.id }, signal());
      }
    }

    const status = async (containerId: string): Promise<v1.ContainerStatus> =>
      (await subject.runtime.containerStatus({ containerId }, signal())).status ?? {};
    const ended = async (id: string): Promise<v1.ContainerStatus> =>
      await eventually(async () => {
        const found = await status(id);
        return found.state === 'CONTAINER_EXITED' ? found : undefined;
      }, 'the container to end');
    const code = (expected: Parameters<typeof isCriCode>[1]) => (err: unknown) => isCriCode(err, expected);
    const sleeper = ['sleep', '100000'];

    describe('runtime', () => {
      test('version names the API', async () => {
        const version = await subject.runtime.version({}, signal());
        expect(version.runtimeName).not.toBe('');
        expect(version.runtimeApiVersion).toMatch(/^v1$/);
      });

      test('status has both conditions', async () => {
        const { status } = await subject.runtime.status({}, signal());
        expect(status?.conditions?.map((condition) => condition.type)).toEqual(
          expect.arrayContaining(['RuntimeReady', 'NetworkReady']),
        );
        expect(status?.conditions?.find((condition) => condition.type === 'RuntimeReady')?.status).toBe(true);
      });
    });

    describe('sandboxes', () => {
      test('status and list carry what was given', async () => {
        await using pod = await Pod.run();
        const { status } = await subject.runtime.podSandboxStatus({ podSandboxId: pod.id }, signal());
        const given = { id: pod.id, metadata: pod.config.metadata, state: 'SANDBOX_READY' };
        expect(status).toMatchObject({ ...given, labels: pod.config.labels, annotations: pod.config.annotations });
        expect(status?.createdAt).toBeGreaterThan(1e18);
        const { items } = await subject.runtime.listPodSandbox({ filter: { id: pod.id } }, signal());
        expect(items).toHaveLength(1);
        expect(items?.[0]).toMatchObject({ ...given, labels: pod.config.labels });
      });

      test('list filters by state, labels and a short id', async () => {
        await using one = await Pod.run();
        await using two = await Pod.run();
        await subject.runtime.stopPodSandbox({ podSandboxId: two.id }, signal());
        const ids = async (filter: v1.PodSandboxFilter): Promise<unknown[]> =>
          ((await subject.runtime.listPodSandbox({ filter }, signal())).items ?? []).map((item) => item.id);
        expect(await ids({ state: { state: 'SANDBOX_READY' }, labelSelector: { suite: 'contract' } })).toEqual([
          one.id,
        ]);
        expect(await ids({ state: { state: 'SANDBOX_NOTREADY' }, labelSelector: { suite: 'contract' } })).toEqual([
          two.id,
        ]);
        expect(await ids({ labelSelector: { pod: one.config.metadata?.name ?? '' } })).toEqual([one.id]);
        expect(await ids({ labelSelector: { pod: 'other' } })).toEqual([]);
        expect(await ids({ id: one.id.slice(0, 12) })).toEqual([one.id]);
      });

      test('the same metadata twice is refused, the next attempt is not', async () => {
        await using pod = await Pod.run();
        const again = subject.runtime.runPodSandbox({ config: pod.config }, signal());
        if (subject.cannot?.['refuse-taken-name'] === undefined) await expect(again).rejects.toBeInstanceOf(CriError);
        else expect((await again).podSandboxId).toBe(pod.id);
        const metadata = { ...pod.config.metadata, attempt: 1 };
        await using _next = await Pod.run({ metadata });
      });

      test('stop and remove of what is not there succeed, status is not-found', async () => {
        const podSandboxId = 'f'.repeat(64);
        await subject.runtime.stopPodSandbox({ podSandboxId }, signal());
        await subject.runtime.removePodSandbox({ podSandboxId }, signal());
        await expect(subject.runtime.podSandboxStatus({ podSandboxId }, signal())).rejects.toSatisfy(code('not-found'));
      });

      test('an unknown runtime handler is refused and leaves nothing', async () => {
        const pod = new Pod();
        const request = { config: pod.config, runtimeHandler: 'no-such-handler' };
        await expect(subject.runtime.runPodSandbox(request, signal())).rejects.toThrow(/no-such-handler/);
        const { items } = await subject.runtime.listPodSandbox(
          { filter: { labelSelector: { pod: pod.config.metadata?.name ?? '' } } },
          signal(),
        );
        expect(items ?? []).toEqual([]);
      });

      test('stop ends running containers, remove takes them away', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        await subject.runtime.stopPodSandbox({ podSandboxId: pod.id }, signal());
        expect((await status(containerId)).state).toBe('CONTAINER_EXITED');
        if (subject.cannot?.['refuse-create-in-stopped'] === undefined) {
          await expect(pod.create('late', sleeper)).rejects.toBeInstanceOf(CriError);
        }
        await subject.runtime.removePodSandbox({ podSandboxId: pod.id }, signal());
        await expect(status(containerId)).rejects.toSatisfy(code('not-found'));
      });
    });

    describe('containers', () => {
      test('states, times and what was given', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.create('main', ['sh', '-c', 'sleep 0.2; exit 7']);
        expect(await status(containerId)).toMatchObject({
          id: containerId,
          state: 'CONTAINER_CREATED',
          metadata: { name: 'main', attempt: 0 },
          labels: { container: 'main' },
          annotations: { c: 'd' },
          logPath: `${pod.config.logDirectory}/main_0.log`,
        });
        await subject.runtime.startContainer({ containerId }, signal());
        expect((await status(containerId)).state).toBe('CONTAINER_RUNNING');
        const end = await ended(containerId);
        expect(end).toMatchObject({ exitCode: 7, reason: 'Error' });
        expect(end.createdAt).toBeGreaterThan(1e18);
        expect(end.startedAt).toBeGreaterThanOrEqual(end.createdAt ?? Infinity);
        expect(end.finishedAt).toBeGreaterThan(end.startedAt ?? Infinity);
      });

      test('list filters by state, sandbox and labels', async () => {
        await using pod = await Pod.run();
        const running = await pod.start('running', sleeper);
        const created = await pod.create('created', sleeper);
        const ids = async (filter: v1.ContainerFilter): Promise<unknown[]> =>
          ((await subject.runtime.listContainers({ filter }, signal())).containers ?? []).map((item) => item.id);
        expect(new Set(await ids({ podSandboxId: pod.id }))).toEqual(new Set([running, created]));
        expect(await ids({ podSandboxId: pod.id, state: { state: 'CONTAINER_RUNNING' } })).toEqual([running]);
        expect(await ids({ podSandboxId: pod.id, state: { state: 'CONTAINER_CREATED' } })).toEqual([created]);
        expect(await ids({ podSandboxId: pod.id, labelSelector: { container: 'created' } })).toEqual([created]);
        expect(await ids({ id: running.slice(0, 12) })).toEqual([running]);
      });

      test('a wrong image, a taken name and a lost sandbox are refused', async () => {
        await using pod = await Pod.run();
        const first = await pod.create('main', sleeper);
        const again = pod.create('main', sleeper);
        if (subject.cannot?.['refuse-taken-name'] === undefined) await expect(again).rejects.toBeInstanceOf(CriError);
        else expect(await again).toBe(first);
        await expect(pod.create('other', sleeper, { image: { image: 'localhost/none:none' } })).rejects.toBeInstanceOf(
          CriError,
        );
        const security = { ...podNamespaces.securityContext, runAsGroup: { value: 1000 } };
        const groupAlone = pod.create('group', sleeper, { linux: { securityContext: security } });
        await expect(groupAlone).rejects.toBeInstanceOf(CriError);
        const config = pod.containerConfig('x', sleeper);
        await expect(
          subject.runtime.createContainer(
            { podSandboxId: 'f'.repeat(64), config, sandboxConfig: pod.config },
            signal(),
          ),
        ).rejects.toSatisfy(code('not-found'));
      });

      test('a command that is not there fails and the container does not run', async () => {
        await using pod = await Pod.run();
        await expect(pod.start('main', ['/bin/no-such-program'])).rejects.toThrow(/no-such-program|no such file/i);
        const { containers = [] } = await subject.runtime.listContainers(
          { filter: { podSandboxId: pod.id } },
          signal(),
        );
        expect(containers.filter((item) => item.state === 'CONTAINER_RUNNING')).toEqual([]);
      });

      test('start of a running or missing container is refused', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        await expect(subject.runtime.startContainer({ containerId }, signal())).rejects.toBeInstanceOf(CriError);
        await expect(subject.runtime.startContainer({ containerId: 'f'.repeat(64) }, signal())).rejects.toSatisfy(
          code('not-found'),
        );
      });

      test('stop: the signal comes first, SIGKILL after the grace, and both are idempotent', async () => {
        await using pod = await Pod.run();
        const polite = await pod.start('polite', ['sh', '-c', 'trap "exit 21" TERM; while true; do sleep 0.05; done']);
        await subject.runtime.execSync({ containerId: polite, cmd: ['true'], timeout: 10 }, signal());
        await subject.runtime.stopContainer({ containerId: polite, timeout: 30 }, signal());
        expect((await status(polite)).exitCode).toBe(21);
        const deaf = await pod.start('deaf', ['sh', '-c', 'trap "" TERM; while true; do sleep 0.05; done']);
        await subject.runtime.execSync({ containerId: deaf, cmd: ['true'], timeout: 10 }, signal());
        const before = performance.now();
        await subject.runtime.stopContainer({ containerId: deaf, timeout: 1 }, signal());
        expect(performance.now() - before).toBeGreaterThan(900);
        expect((await status(deaf)).exitCode).toBe(137);
        await subject.runtime.stopContainer({ containerId: deaf, timeout: 30 }, signal());
        await subject.runtime.stopContainer({ containerId: 'f'.repeat(64), timeout: 0 }, signal());
      });

      test('remove by force, twice, and the log stays', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', ['sh', '-c', 'echo kept; exec sleep 1000']);
        const path = (await status(containerId)).logPath ?? '';
        await eventually(async () => (await readFile(path, 'utf8')).includes('kept') || undefined, 'the log line');
        await subject.runtime.removeContainer({ containerId }, signal());
        await subject.runtime.removeContainer({ containerId }, signal());
        await expect(status(containerId)).rejects.toSatisfy(code('not-found'));
        expect(await readFile(path, 'utf8')).toContain('kept');
        await pod.create('main', sleeper);
      });

      test('logs are in CRI format, both streams, and reopened after a rename', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', [
          'sh',
          '-c',
          'echo out; echo err >&2; printf part; i=0; while true; do i=$((i+1)); echo line $i; sleep 0.02; done',
        ]);
        const path = (await status(containerId)).logPath ?? '';
        await eventually(async () => (await readFile(path, 'utf8')).includes('line 5\n') || undefined, 'five lines');
        const first = await readFile(path, 'utf8');
        expect(first).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}(Z|[+-]\d\d:\d\d) stdout F out$/m);
        expect(first).toMatch(/ stderr F err$/m);
        await rename(path, `${path}.1`);
        await subject.runtime.reopenContainerLog({ containerId }, signal());
        // The new file is there when the answer is, written to or not.
        await readFile(path);
        const fresh = (): Promise<string> => readFile(path, 'utf8');
        await eventually(async () => (await fresh()).split('\n').length > 5 || undefined, 'new lines');
        await subject.runtime.stopContainer({ containerId, timeout: 0 }, signal());
        const all = (await readFile(`${path}.1`, 'utf8')) + (await readFile(path, 'utf8'));
        const numbers = [...all.matchAll(/line (\d+)$/gm)].map((match) => Number(match[1]));
        expect(numbers).toEqual(numbers.map((_, index) => index + 1));
      });

      test('environment, working directory, hostname, mounts and resolv.conf are seen inside', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper, {
          workingDir: '/made/for/it',
          envs: [{ key: 'GREETING', value: new TextEncoder().encode('hi there') }],
          mounts: [{ containerPath: '/mnt/logs', hostPath: subject.logFolder, readonly: true }],
        });
        const run = async (...cmd: string[]): Promise<string> =>
          decode((await subject.runtime.execSync({ containerId, cmd, timeout: 10 }, signal())).stdout).trim();
        expect(await run('sh', '-c', 'echo $GREETING')).toBe('hi there');
        expect(await run('pwd')).toBe('/made/for/it');
        expect(await run('hostname')).toBe(pod.config.hostname);
        expect(await run('cat', '/etc/resolv.conf')).toBe(
          'search a.test b.test\nnameserver 10.96.0.10\noptions ndots:5',
        );
        expect(await run('sh', '-c', 'touch /mnt/logs/x 2>&1; echo $?')).toMatch(/Read-only file system\n1$/);
      });

      test('containers of a pod share network and IPC, not processes', async () => {
        await using pod = await Pod.run();
        const one = await pod.start('one', sleeper);
        const two = await pod.start('two', sleeper);
        const link = async (containerId: string, ns: string): Promise<string> =>
          decode(
            (
              await subject.runtime.execSync(
                { containerId, cmd: ['readlink', `/proc/1/ns/${ns}`], timeout: 10 },
                signal(),
              )
            ).stdout,
          );
        const namespaces = subject.cannot?.['shared-uts'] === undefined ? ['net', 'ipc', 'uts'] : ['net', 'ipc'];
        for (const ns of namespaces) expect(await link(one, ns)).toBe(await link(two, ns));
        for (const ns of ['pid', 'mnt']) expect(await link(one, ns)).not.toBe(await link(two, ns));
        await subject.runtime.execSync(
          { containerId: one, cmd: ['sh', '-c', 'echo x > /dev/shm/f'], timeout: 10 },
          signal(),
        );
        const shared = await subject.runtime.execSync(
          { containerId: two, cmd: ['cat', '/dev/shm/f'], timeout: 10 },
          signal(),
        );
        expect(decode(shared.stdout)).toBe('x\n');
      });

      test('a shared PID namespace shows the other container', async (context) => {
        if (subject.cannot?.['shared-pid'] !== undefined) return context.skip(subject.cannot['shared-pid']);
        const namespaceOptions = { network: 'POD', ipc: 'POD', pid: 'POD' } as const;
        await using pod = await Pod.run({
          linux: { cgroupParent: subject.cgroupParent, securityContext: { namespaceOptions } },
        });
        await pod.start('one', ['sleep', '424242'], { linux: { securityContext: { namespaceOptions } } });
        const two = await pod.start('two', sleeper, { linux: { securityContext: { namespaceOptions } } });
        const ps = await subject.runtime.execSync({ containerId: two, cmd: ['ps'], timeout: 10 }, signal());
        expect(decode(ps.stdout)).toContain('sleep 424242');
      });

      test('resources can be changed while it runs', async () => {
        await using pod = await Pod.run();
        const resources = {
          memoryLimitInBytes: 64 * 1024 * 1024,
          cpuShares: 512,
          cpuPeriod: 100_000,
          cpuQuota: 50_000,
        };
        const containerId = await pod.start('main', sleeper, { linux: { resources, ...podNamespaces } });
        expect((await status(containerId)).resources?.linux).toMatchObject(resources);
        const update = { memoryLimitInBytes: 96 * 1024 * 1024, cpuQuota: 70_000 };
        await subject.runtime.updateContainerResources({ containerId, linux: update }, signal());
        expect((await status(containerId)).resources?.linux).toMatchObject({ ...resources, ...update });
      });
    });

    describe('verb by verb', () => {
      verbCases({ subject: () => subject, runPod: () => Pod.run() });
    });

    describe('exec, attach, port-forward', () => {
      test('execSync: output of both streams and the exact code', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        const result = await subject.runtime.execSync(
          { containerId, cmd: ['sh', '-c', 'echo out; echo err >&2; exit 9'], timeout: 10 },
          signal(),
        );
        expect([decode(result.stdout), decode(result.stderr), result.exitCode]).toEqual(['out\n', 'err\n', 9]);
      });

      test('execSync: more than an answer holds is cut, and the command runs to its end', async (context) => {
        if (subject.cannot?.['exec-cut'] !== undefined) return context.skip(subject.cannot['exec-cut']);
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        const script = 'head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; touch /ended; exit 4';
        const result = await subject.runtime.execSync(
          { containerId, cmd: ['sh', '-c', script], timeout: 60 },
          signal(),
        );
        expect(result.exitCode).toBe(4);
        const length = (result.stdout?.length ?? 0) + (result.stderr?.length ?? 0);
        expect(length).toBeGreaterThan(15_000_000);
        expect(length).toBeLessThan(16 * 1024 * 1024);
        const after = await subject.runtime.execSync({ containerId, cmd: ['ls', '/ended'], timeout: 10 }, signal());
        expect(after.exitCode ?? 0).toBe(0);
      });

      test('execSync runs into its timeout and the command is gone', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        await expect(
          subject.runtime.execSync({ containerId, cmd: ['sleep', '717171'], timeout: 1 }, signal()),
        ).rejects.toSatisfy(code('deadline-exceeded'));
        await eventually(async () => {
          const ps = await subject.runtime.execSync({ containerId, cmd: ['ps'], timeout: 10 }, signal());
          return decode(ps.stdout).includes('717171') ? undefined : true;
        }, 'the command to be gone');
      });

      test('exec in a container that does not run is refused', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.create('main', sleeper);
        if (subject.cannot?.['refuse-unstarted'] === undefined) {
          const early = subject.runtime.execSync({ containerId, cmd: ['true'], timeout: 10 }, signal());
          await expect(early).rejects.toBeInstanceOf(CriError);
        }
        await expect(
          subject.runtime.execSync({ containerId: 'f'.repeat(64), cmd: ['true'], timeout: 10 }, signal()),
        ).rejects.toSatisfy(code('not-found'));
      });

      test('exec: input to its end, both outputs, exit code', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        const stdin = new PassThrough();
        const [stdout, stderr] = [new PassThrough(), new PassThrough()];
        const done = subject.streaming.exec(
          { containerId, cmd: ['sh', '-c', 'cat; echo err >&2; exit 5'], stdin: true, stdout: true, stderr: true },
          { stdin, stdout, stderr },
          signal(),
        );
        stdin.write('one ');
        stdin.end('two');
        const result = await done;
        stdout.end();
        stderr.end();
        expect([await text(stdout), await text(stderr), result.exitCode]).toEqual(['one two', 'err\n', 5]);
      });

      test('exec: a megabyte each way arrives whole', async () => {
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        const data = Buffer.alloc(1024 * 1024, 'abcdefgh');
        const stdin = new PassThrough();
        const sink = new SlowSink();
        const done = subject.streaming.exec(
          { containerId, cmd: ['cat'], stdin: true, stdout: true },
          { stdin, stdout: sink },
          signal(),
        );
        stdin.end(data);
        expect((await done).exitCode).toBe(0);
        // The last of it may still wait for its turn in the slow sink.
        await new Promise<void>((resolve) => sink.end(resolve));
        expect(sink.bytes.equals(data)).toBe(true);
      });

      test('exec with a terminal: one stream, sizes, exit code', async (context) => {
        if (subject.cannot?.['exec-tty-resize'] !== undefined) return context.skip(subject.cannot['exec-tty-resize']);
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        const stdin = new PassThrough();
        const stdout = new Recorder();
        const sizes = new Feed<{ columns: number; rows: number }>();
        sizes.push({ columns: 111, rows: 33 });
        const done = subject.streaming.exec(
          {
            containerId,
            // A process may see its terminal a moment before the size: it is the last word that counts.
            cmd: [
              'sh',
              '-c',
              'size() { until stty size 2>/dev/null | grep "$1"; do sleep 0.02; done; }; size "33 111"; read x; size "22 77"; echo "got $x"; exit 6',
            ],
            tty: true,
            stdin: true,
            stdout: true,
          },
          { stdin, stdout, resize: sizes },
          signal(),
        );
        await eventually(() => stdout.text.includes('33 111') || undefined, 'the first size');
        sizes.push({ columns: 77, rows: 22 });
        stdin.write('go\n');
        expect((await done).exitCode).toBe(6);
        expect(stdout.text).toMatch(/22 77\r\ngot go\r\n$/);
      });

      test('exec: an abort ends the command', async (context) => {
        if (subject.cannot?.['exec-abort'] !== undefined) return context.skip(subject.cannot['exec-abort']);
        await using pod = await Pod.run();
        const containerId = await pod.start('main', sleeper);
        for (const tty of [false, true]) {
          const abort = new AbortController();
          const stdout = new Recorder();
          const done = subject.streaming.exec(
            { containerId, cmd: ['sh', '-c', 'echo up; exec sleep 828282'], tty, stdout: true },
            { stdout },
            abort.signal,
          );
          await eventually(() => stdout.text.includes('up') || undefined, 'the command to run');
          abort.abort(new Error('enough'));
          await expect(done).rejects.toThrow('enough');
          await eventually(async () => {
            const ps = await subject.runtime.execSync({ containerId, cmd: ['ps'], timeout: 10 }, signal());
            return decode(ps.stdout).includes('828282') ? undefined : true;
          }, 'the command to be gone');
        }
      });

      test('attach: input goes in, output comes out, ends with the container', async (context) => {
        if (subject.cannot?.['attach-input'] !== undefined) return context.skip(subject.cannot['attach-input']);
        await using pod = await Pod.run();
        const containerId = await pod.start(
          'main',
          ['sh', '-c', 'while read x; do echo got $x; echo e $x >&2; done; exit 0'],
          { stdin: true, stdinOnce: true },
        );
        const stdin = new PassThrough();
        const [stdout, stderr] = [new Recorder(), new Recorder()];
        const done = subject.streaming.attach(
          { containerId, stdin: true, stdout: true, stderr: true },
          { stdin, stdout, stderr },
          signal(),
        );
        stdin.write('one\n');
        await eventually(() => stdout.text.includes('got one\n') || undefined, 'the first answer');
        stdin.end('two\n');
        await done;
        expect([stdout.text, stderr.text]).toEqual(['got one\ngot two\n', 'e one\ne two\n']);
        expect((await ended(containerId)).exitCode).toBe(0);
      });

      test.each([false, true])('attach to a container that keeps no log (terminal: %s)', async (tty) => {
        await using pod = await Pod.run({ logDirectory: '' });
        const script = 'stty -echo 2>/dev/null; while read x; do echo got $x; echo e $x >&2; done; exit 0';
        const interactive = { logPath: '', tty, stdin: true, stdinOnce: true };
        const containerId = await pod.start('main', ['sh', '-c', script], interactive);
        const stdin = new PassThrough();
        const [stdout, stderr] = [new Recorder(), new Recorder()];
        const io = tty ? { stdin, stdout } : { stdin, stdout, stderr };
        const request = { containerId, tty, stdin: true, stdout: true, stderr: !tty };
        const done = subject.streaming.attach(request, io, signal());
        await eventually(() => {
          stdin.write('one\n');
          return stdout.text.includes('got one') || undefined;
        }, 'the first answer');
        const long = 'x'.repeat(3000);
        stdin.write(`${long}\n`);
        await eventually(() => stdout.text.includes(`got ${long}`) || undefined, 'the long answer');
        if (tty) stdin.write(Buffer.from([4]));
        else stdin.end();
        await done;
        stdin.end();
        expect(stdout.text).toMatch(tty ? /e one\r\n/ : /^(got one\n)+got x+\n$/);
        if (!tty) expect(stderr.text).toMatch(/^(e one\n)+e x+\n$/);
        const end = await ended(containerId);
        expect(end.exitCode).toBe(0);
        if (subject.cannot?.['no-log'] === undefined) expect(end.logPath).toBe('');
      });

      test('port-forward reaches a listener on loopback; without one it is refused', async () => {
        await using pod = await Pod.run();
        await pod.start('main', ['nc', '-ll', '-p', '8123', '-e', 'cat']);
        const forward = async (port: number): Promise<string> => {
          const [near, far] = await socketPair();
          const done = subject.streaming.portForward({ podSandboxId: pod.id, port }, far, signal());
          done.catch(() => far.destroy());
          near.end('ping\n');
          const answer = text(near).catch(() => '');
          await done;
          const words = await answer;
          far.destroy();
          return words;
        };
        expect(
          await eventually(async () => {
            try {
              return await forward(8123);
            } catch {
              return undefined;
            }
          }, 'the listener'),
        ).toBe('ping\n');
        await expect(forward(9)).rejects.toSatisfy(code('failed-precondition'));
      });
    });

    describe('stats and events', () => {
      test('container stats are plausible', async (context) => {
        if (subject.cannot?.stats !== undefined) return context.skip(subject.cannot.stats);
        await using pod = await Pod.run();
        const containerId = await pod.start('main', ['sh', '-c', 'while true; do true; done']);
        const first = await eventually(async () => {
          const { stats } = await subject.runtime.containerStats({ containerId }, signal());
          return (stats?.cpu?.usageCoreNanoSeconds?.value ?? 0) > 20e6 ? stats : undefined;
        }, 'CPU time');
        expect(first?.attributes).toMatchObject({ id: containerId, metadata: { name: 'main' } });
        expect(first?.memory?.workingSetBytes?.value).toBeGreaterThan(10_000);
        expect(first?.memory?.workingSetBytes?.value).toBeLessThan(100_000_000);
        const { stats: pods } = await subject.runtime.listPodSandboxStats({ filter: { id: pod.id } }, signal());
        expect(pods?.[0]?.attributes?.id).toBe(pod.id);
        const { stats: all } = await subject.runtime.listContainerStats({ filter: { podSandboxId: pod.id } }, signal());
        expect(all?.map((one) => one.attributes?.id)).toEqual([containerId]);
        await expect(subject.runtime.containerStats({ containerId: 'f'.repeat(64) }, signal())).rejects.toSatisfy(
          code('not-found'),
        );
      });

      test('events tell the life of a container, once and in order', async (context) => {
        if (subject.cannot?.events !== undefined) return context.skip(subject.cannot.events);
        const stop = new AbortController();
        const seen: string[] = [];
        const events = subject.runtime.containerEvents(stop.signal);
        const reading = (async () => {
          for await (const event of events) seen.push(`${event.containerEventType} ${event.containerId}`);
        })();
        await using pod = await Pod.run();
        const id = await pod.start('main', ['true']);
        await eventually(() => seen.includes(`CONTAINER_STOPPED_EVENT ${id}`) || undefined, 'the end event');
        await subject.runtime.removeContainer({ containerId: id }, signal());
        await eventually(() => seen.includes(`CONTAINER_DELETED_EVENT ${id}`) || undefined, 'the removal event');
        expect(seen.filter((line) => line.endsWith(id))).toEqual([
          `CONTAINER_CREATED_EVENT ${id}`,
          `CONTAINER_STARTED_EVENT ${id}`,
          `CONTAINER_STOPPED_EVENT ${id}`,
          `CONTAINER_DELETED_EVENT ${id}`,
        ]);
        expect(seen).toContain(`CONTAINER_STARTED_EVENT ${pod.id}`);
        stop.abort();
        await reading;
      });
    });
  });
}

const podNamespaces = {
  securityContext: { namespaceOptions: { network: 'POD', ipc: 'POD', pid: 'CONTAINER' } },
} as const;

async function eventually<T>(
  look: () => Promise<T | undefined> | T | undefined,
  what: string,
  withinMs = 15_000,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  while (true) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

class Recorder extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.text += chunk.toString('utf8');
    callback();
  }
}

/** Takes a little at a time, so that back pressure is felt all the way. */
class SlowSink extends Writable {
  readonly #chunks: Buffer[] = [];

  constructor() {
    super({ highWaterMark: 4096 });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#chunks.push(chunk);
    setTimeout(callback, 1);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/** Values pushed by the test, read in order; never ends by itself. */
class Feed<T> implements AsyncIterable<T> {
  readonly #values: T[] = [];
  #wake: () => void = () => {};
  #closed = false;

  push(value: T): void {
    this.#values.push(value);
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: async () => {
        while (this.#values.length === 0 && !this.#closed) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
        const value = this.#values.shift();
        return value === undefined ? { done: true, value: undefined } : { done: false, value };
      },
      return: async () => {
        this.#closed = true;
        this.#wake();
        return { done: true, value: undefined };
      },
    };
  }
}

/** Two ends of one real connection. */
async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  near.on('error', () => {});
  far.on('error', () => {});
  return [near, far];
}
