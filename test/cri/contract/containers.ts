import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { CriError, type v1 } from '../../../cri/index.js';
import { eventually } from '../../support/daemon.js';
import { code, decode, podNamespaces, signal, sleeper, type ContractCases } from './cases.js';

/** The life of a container, its log and what is seen inside. */
export function containerCases({ subject, runPod, status, ended }: ContractCases): void {
  test('states, times and what was given', async () => {
    await using pod = await runPod();
    const script = 'until test -e /go; do :; done; exit 7';
    const containerId = await pod.create('main', ['sh', '-c', script]);
    expect(await status(containerId)).toMatchObject({
      id: containerId,
      state: 'CONTAINER_CREATED',
      metadata: { name: 'main', attempt: 0 },
      labels: { container: 'main' },
      annotations: { c: 'd' },
      logPath: `${pod.config.logDirectory}/main_0.log`,
    });
    await subject().runtime.startContainer({ containerId }, signal);
    expect((await status(containerId)).state).toBe('CONTAINER_RUNNING');
    await subject().runtime.execSync({ containerId, cmd: ['touch', '/go'], timeout: 60 }, signal);
    const end = await ended(containerId);
    expect(end).toMatchObject({ exitCode: 7, reason: 'Error' });
    expect(end.createdAt).toBeGreaterThan(1e18);
    expect(end.startedAt).toBeGreaterThanOrEqual(end.createdAt ?? Infinity);
    expect(end.finishedAt).toBeGreaterThan(end.startedAt ?? Infinity);
  });

  test('list filters by state, sandbox and labels', async () => {
    await using pod = await runPod();
    const running = await pod.start('running', sleeper);
    const created = await pod.create('created', sleeper);
    const ids = async (filter: v1.ContainerFilter): Promise<unknown[]> =>
      ((await subject().runtime.listContainers({ filter }, signal)).containers ?? []).map((item) => item.id);
    expect(new Set(await ids({ podSandboxId: pod.id }))).toEqual(new Set([running, created]));
    expect(await ids({ podSandboxId: pod.id, state: { state: 'CONTAINER_RUNNING' } })).toEqual([running]);
    expect(await ids({ podSandboxId: pod.id, state: { state: 'CONTAINER_CREATED' } })).toEqual([created]);
    expect(await ids({ podSandboxId: pod.id, labelSelector: { container: 'created' } })).toEqual([created]);
    expect(await ids({ id: running.slice(0, 12) })).toEqual([running]);
  });

  test('a wrong image, a taken name and a lost sandbox are refused', async () => {
    await using pod = await runPod();
    const first = await pod.create('main', sleeper);
    const again = pod.create('main', sleeper);
    if (subject().cannot?.['refuse-taken-name'] === undefined) await expect(again).rejects.toBeInstanceOf(CriError);
    else expect(await again).toBe(first);
    await expect(pod.create('other', sleeper, { image: { image: 'localhost/none:none' } })).rejects.toBeInstanceOf(
      CriError,
    );
    const security = { ...podNamespaces.securityContext, runAsGroup: { value: 1000 } };
    const groupAlone = pod.create('group', sleeper, { linux: { securityContext: security } });
    await expect(groupAlone).rejects.toBeInstanceOf(CriError);
    const config = pod.containerConfig('x', sleeper);
    await expect(
      subject().runtime.createContainer({ podSandboxId: 'f'.repeat(64), config, sandboxConfig: pod.config }, signal),
    ).rejects.toSatisfy(code('not-found'));
  });

  test.each([
    ['is not there', '/bin/no-such-program', /no-such-program/],
    ['is a folder', '/etc', /\/etc|executable/],
  ])(
    'a command that %s: the reason is told, and the container has ended without having run',
    async (_what, command, words) => {
      const { runtime } = subject();
      await using pod = await runPod();
      const listed = async (): Promise<unknown[]> =>
        ((await runtime.listContainers({ filter: { podSandboxId: pod.id } }, signal)).containers ?? []).map(
          (item) => item.state,
        );
      if (subject().cannot?.['create-unfit'] !== undefined) {
        const refused = await pod.create('main', [command]).catch((err: unknown) => err);
        expect(refused).toBeInstanceOf(CriError);
        expect(refused).toHaveProperty('message', expect.stringMatching(words));
        expect(await listed()).toEqual([]);
        return;
      }
      const containerId = await pod.create('main', [command]);
      const started = runtime.startContainer({ containerId }, signal);
      await expect(started).rejects.toMatchObject({
        failure: { code: expect.stringMatching(/^(internal|unknown)$/) as string },
        message: expect.stringMatching(words) as string,
      });
      const expected = { state: 'CONTAINER_EXITED', exitCode: 128, reason: 'StartError' };
      const told = await status(containerId);
      expect(told).toMatchObject({ ...expected, message: expect.stringMatching(words) as string });
      expect(told.startedAt ?? 0).toBe(0);
      expect(told.finishedAt).toBeGreaterThanOrEqual(told.createdAt ?? Infinity);
      expect(await listed()).toEqual(['CONTAINER_EXITED']);
      await expect(runtime.startContainer({ containerId }, signal)).rejects.toBeInstanceOf(CriError);
      expect(await status(containerId)).toMatchObject(expected);
    },
  );

  test('labels and annotations of any name come back as they were', async () => {
    const { runtime } = subject();
    const labels = { 'annotation.x': 'label', 'io.kubernetes.docker.type': 'mine', 'io.berth.cri.config': 'mine too' };
    const annotations = { x: 'annotation', 'annotation.x': 'another', 'io.kubernetes.sandbox.id': 'third' };
    await using pod = await runPod({ labels, annotations });
    const containerId = await pod.create('main', sleeper, { labels, annotations });
    const told = await runtime.podSandboxStatus({ podSandboxId: pod.id }, signal);
    expect(told.status).toMatchObject({ labels, annotations });
    expect(await status(containerId)).toMatchObject({ labels, annotations });
    const { items } = await runtime.listPodSandbox({ filter: { labelSelector: labels } }, signal);
    expect(items).toMatchObject([{ id: pod.id, labels, annotations }]);
    const { containers } = await runtime.listContainers({ filter: { labelSelector: labels } }, signal);
    expect(containers).toMatchObject([{ id: containerId, labels, annotations }]);
  });

  test('start of a running or missing container is refused', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper);
    await expect(subject().runtime.startContainer({ containerId }, signal)).rejects.toBeInstanceOf(CriError);
    await expect(subject().runtime.startContainer({ containerId: 'f'.repeat(64) }, signal)).rejects.toSatisfy(
      code('not-found'),
    );
  });

  test('stop: the signal comes first, SIGKILL after the grace, and both are idempotent', async () => {
    await using pod = await runPod();
    const polite = await pod.startScript('polite', 'trap "exit 21" TERM', 'while true; do sleep 0.05; done');
    await subject().runtime.stopContainer({ containerId: polite, timeout: 60 }, signal);
    expect((await status(polite)).exitCode).toBe(21);
    const deaf = await pod.startScript('deaf', 'trap "" TERM', 'while true; do sleep 0.05; done');
    const before = performance.now();
    await subject().runtime.stopContainer({ containerId: deaf, timeout: 1 }, signal);
    expect(performance.now() - before).toBeGreaterThan(900);
    expect((await status(deaf)).exitCode).toBe(137);
    await subject().runtime.stopContainer({ containerId: deaf, timeout: 30 }, signal);
    await subject().runtime.stopContainer({ containerId: 'f'.repeat(64), timeout: 0 }, signal);
  });

  test('remove by force, twice, and the log stays', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', ['sh', '-c', 'echo kept; exec sleep 1000']);
    const path = (await status(containerId)).logPath ?? '';
    await eventually('the log line', async () => (await readFile(path, 'utf8')).includes('kept\n'));
    await subject().runtime.removeContainer({ containerId }, signal);
    await subject().runtime.removeContainer({ containerId }, signal);
    await expect(status(containerId)).rejects.toSatisfy(code('not-found'));
    expect(await readFile(path, 'utf8')).toContain('kept');
    await pod.create('main', sleeper);
  });

  test('logs are in CRI format, both streams, and reopened after a rename', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', [
      'sh',
      '-c',
      'echo out; echo err >&2; printf part; i=0; while true; do i=$((i+1)); echo line $i; sleep 0.02; done',
    ]);
    const path = (await status(containerId)).logPath ?? '';
    const first = await eventually('five lines, and the one of the other stream', async () => {
      const text = await readFile(path, 'utf8');
      return text.includes('line 5\n') && text.includes(' err\n') && text;
    });
    expect(first).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}(Z|[+-]\d\d:\d\d) stdout F out$/m);
    expect(first).toMatch(/ stderr F err$/m);
    await rename(path, `${path}.1`);
    await subject().runtime.reopenContainerLog({ containerId }, signal);
    // The new file is there when the answer is, written to or not.
    await readFile(path);
    const fresh = (): Promise<string> => readFile(path, 'utf8');
    await eventually('new lines', async () => (await fresh()).split('\n').length > 5);
    await subject().runtime.stopContainer({ containerId, timeout: 0 }, signal);
    const all = (await readFile(`${path}.1`, 'utf8')) + (await readFile(path, 'utf8'));
    const numbers = [...all.matchAll(/line (\d+)$/gm)].map((match) => Number(match[1]));
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });

  test('environment, working directory, hostname, mounts and resolv.conf are seen inside', async () => {
    await using pod = await runPod();
    const containerId = await pod.start('main', sleeper, {
      workingDir: '/made/for/it',
      envs: [{ key: 'GREETING', value: new TextEncoder().encode('hi there') }],
      mounts: [{ containerPath: '/mnt/logs', hostPath: subject().logFolder, readonly: true }],
    });
    const run = async (...cmd: string[]): Promise<string> =>
      decode((await subject().runtime.execSync({ containerId, cmd, timeout: 60 }, signal)).stdout).trim();
    expect(await run('sh', '-c', 'echo $GREETING')).toBe('hi there');
    expect(await run('pwd')).toBe('/made/for/it');
    expect(await run('hostname')).toBe(pod.config.hostname);
    expect(await run('cat', '/etc/resolv.conf')).toBe('search a.test b.test\nnameserver 10.96.0.10\noptions ndots:5');
    expect(await run('sh', '-c', 'touch /mnt/logs/x 2>&1; echo $?')).toMatch(/Read-only file system\n1$/);
  });

  test('a host path that is a link is followed; one that is missing becomes a folder', async () => {
    await using pod = await runPod();
    const folder = `${subject().logFolder}/${pod.config.metadata?.name ?? ''}-paths`;
    await mkdir(`${folder}/real`, { recursive: true });
    await writeFile(`${folder}/real/file`, 'behind the link');
    await symlink('real', `${folder}/link`);
    const containerId = await pod.start('main', sleeper, {
      mounts: [
        { containerPath: '/mnt/link', hostPath: `${folder}/link` },
        { containerPath: '/mnt/missing', hostPath: `${folder}/missing/below` },
      ],
    });
    const cmd = ['sh', '-c', 'cat /mnt/link/file && touch /mnt/missing/made'];
    const ran = await subject().runtime.execSync({ containerId, cmd, timeout: 60 }, signal);
    expect(decode(ran.stdout)).toBe('behind the link');
    expect(await readdir(`${folder}/missing/below`)).toEqual(['made']);
  });

  test('containers of a pod share network and IPC, not processes', async () => {
    await using pod = await runPod();
    const one = await pod.start('one', sleeper);
    const two = await pod.start('two', sleeper);
    const link = async (containerId: string, ns: string): Promise<string> =>
      decode(
        (await subject().runtime.execSync({ containerId, cmd: ['readlink', `/proc/1/ns/${ns}`], timeout: 60 }, signal))
          .stdout,
      );
    const namespaces = subject().cannot?.['shared-uts'] === undefined ? ['net', 'ipc', 'uts'] : ['net', 'ipc'];
    for (const ns of namespaces) expect(await link(one, ns)).toBe(await link(two, ns));
    for (const ns of ['pid', 'mnt']) expect(await link(one, ns)).not.toBe(await link(two, ns));
    await subject().runtime.execSync(
      { containerId: one, cmd: ['sh', '-c', 'echo x > /dev/shm/f'], timeout: 60 },
      signal,
    );
    const shared = await subject().runtime.execSync(
      { containerId: two, cmd: ['cat', '/dev/shm/f'], timeout: 60 },
      signal,
    );
    expect(decode(shared.stdout)).toBe('x\n');
  });

  test('a shared PID namespace shows the other container', async (context) => {
    if (subject().cannot?.['shared-pid'] !== undefined) return context.skip(subject().cannot?.['shared-pid']);
    const namespaceOptions = { network: 'POD', ipc: 'POD', pid: 'POD' } as const;
    await using pod = await runPod({
      linux: { cgroupParent: subject().cgroupParent, securityContext: { namespaceOptions } },
    });
    await pod.start('one', ['sleep', '424242'], { linux: { securityContext: { namespaceOptions } } });
    const two = await pod.start('two', sleeper, { linux: { securityContext: { namespaceOptions } } });
    const ps = await subject().runtime.execSync({ containerId: two, cmd: ['ps'], timeout: 60 }, signal);
    expect(decode(ps.stdout)).toContain('sleep 424242');
  });

  test('unified resources are refused where there are none, and never left out in silence', async (context) => {
    const { runtime, cannot } = subject();
    if (cannot?.['refuse-unified'] !== undefined) return context.skip(cannot['refuse-unified']);
    await using pod = await runPod();
    const linux = { ...podNamespaces, resources: { unified: { 'memory.oom.group': '1' } } };
    const started = pod.start('main', sleeper, { linux });
    if (existsSync('/sys/fs/cgroup/cgroup.controllers')) {
      expect((await status(await started)).state).toBe('CONTAINER_RUNNING');
    } else {
      await expect(started).rejects.toThrow(/unified/);
      const { containers = [] } = await runtime.listContainers({ filter: { podSandboxId: pod.id } }, signal);
      expect(containers.filter((item) => item.state === 'CONTAINER_RUNNING')).toEqual([]);
    }
  });

  test('resources can be changed while it runs', async () => {
    await using pod = await runPod();
    const resources = {
      memoryLimitInBytes: 64 * 1024 * 1024,
      cpuShares: 512,
      cpuPeriod: 100_000,
      cpuQuota: 50_000,
    };
    const containerId = await pod.start('main', sleeper, { linux: { resources, ...podNamespaces } });
    expect((await status(containerId)).resources?.linux).toMatchObject(resources);
    const update = { memoryLimitInBytes: 96 * 1024 * 1024, cpuQuota: 70_000 };
    await subject().runtime.updateContainerResources({ containerId, linux: update }, signal);
    expect((await status(containerId)).resources?.linux).toMatchObject({ ...resources, ...update });
  });
}
