import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errnoOf } from '../../../base/errors.js';
import { BerthWorld, berthMain, busybox, runProcess } from './berth-world.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';

/** What a service manager hears: a datagram socket that writes down all it gets. */
class Receiver implements Disposable {
  readonly address: string;
  text = '';
  readonly #socat;

  constructor(listen: string, address: string) {
    this.address = address;
    this.#socat = spawn('socat', ['-u', listen, '-'], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#socat.stdout.setEncoding('utf8').on('data', (chunk: string) => (this.text += chunk));
  }

  count(line: string): number {
    return this.text.split('\n').filter((each) => each === line).length;
  }

  [Symbol.dispose](): void {
    this.#socat.kill();
  }
}

/** A program that ended between two looks has no environment any more. */
function goneMeanwhile(err: unknown): string {
  if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ESRCH') return '';
  throw err;
}

test.each(['abstract', 'path'])('systemd is told: ready, status, the watchdog, stopping (%s socket)', async (kind) => {
  await using world = await BerthWorld.open();
  const path = kind === 'path' ? join(world.dir, 'notify') : `berth-notify-${world.name}`;
  using receiver =
    kind === 'path' ? new Receiver(`UNIX-RECV:${path}`, path) : new Receiver(`ABSTRACT-RECV:${path}`, `@${path}`);
  await world.until('the receiver listens', async () =>
    kind === 'path'
      ? await stat(path).then(
          () => true,
          () => false,
        )
      : (await readFile('/proc/net/unix', 'utf8')).includes(`@${path}`),
  );
  const agent = await world.start({ env: { NOTIFY_SOCKET: receiver.address, WATCHDOG_USEC: '400000' } });
  await world.until('it is ready', () => Promise.resolve(receiver.count('READY=1') === 1));
  await world.until('its status', () => Promise.resolve(receiver.text.includes('STATUS=running pods on test-node')));
  await world.until('the watchdog is fed', () => Promise.resolve(receiver.count('WATCHDOG=1') >= 3));
  // A child of the agent must not be able to speak for it.
  const children = await tryHostProgram(['pgrep', '-P', String(agent.pid)]);
  for (const pid of children.stdout
    .toString()
    .split('\n')
    .filter((line) => line !== ''))
    expect(await readFile(`/proc/${pid}/environ`, 'utf8').catch(goneMeanwhile)).not.toContain('NOTIFY_SOCKET');
  await world.stop();
  await world.until('it said that it stops', () => Promise.resolve(receiver.count('STOPPING=1') === 1));
});

test('an agent that hangs feeds no watchdog', async () => {
  await using world = await BerthWorld.open();
  const path = join(world.dir, 'notify');
  using receiver = new Receiver(`UNIX-RECV:${path}`, path);
  await world.until(
    'the receiver listens',
    async () =>
      await stat(path).then(
        () => true,
        () => false,
      ),
  );
  const agent = await world.start({ env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '400000' } });
  await world.until('the watchdog is fed', () => Promise.resolve(receiver.count('WATCHDOG=1') >= 1));
  agent.kill('SIGSTOP');
  await world.until('it hangs', async () => (await readFile(`/proc/${agent.pid}/stat`, 'utf8')).includes(') T '));
  // What it said before comes before what others say now.
  const heardUntilNow = async (mark: string): Promise<number> => {
    await runProcess('socat', ['-u', '-', `UNIX-SENDTO:${path}`], { input: `${mark}\n` });
    await world.until('all is heard', () => Promise.resolve(receiver.count(mark) === 1));
    return receiver.count('WATCHDOG=1');
  };
  const before = await heardUntilNow('MARK=1');
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(await heardUntilNow('MARK=2')).toBe(before);
  agent.kill('SIGCONT');
  await world.until('it is fed again', () => Promise.resolve(receiver.count('WATCHDOG=1') > before + 1));
});

test('the unit is one systemd accepts', async ({ skip }) => {
  const found = await tryHostProgram(['systemd-analyze', '--version']);
  skip(
    found.end.kind !== 'exited',
    'SKIPPED: systemd-analyze is not installed (Debian package systemd); the unit is not verified',
  );
  const dir = await mkdtemp(join(tmpdir(), 'berth-unit-'));
  try {
    const unit = readFileSync(new URL('../../../packaging/berth.service', import.meta.url), 'utf8');
    // The command is where it is installed, not here.
    await writeFile(join(dir, 'berth.service'), unit.replaceAll('/usr/bin/berth', '/bin/true'));
    const ran = await runProcess('systemd-analyze', ['verify', '--man=no', join(dir, 'berth.service')], {
      env: { SYSTEMD_LOG_LEVEL: 'warning' },
    });
    expect(ran).toEqual({ code: 0, stdout: '', stderr: '' });
    for (const needed of [
      'Type=notify',
      'NotifyAccess=all',
      'KillMode=process',
      'Delegate=yes',
      'RuntimeDirectoryMode=0711',
    ])
      expect(unit).toContain(`\n${needed}\n`);
  } finally {
    await rm(dir, { recursive: true });
  }
});

describe('the life of an agent', () => {
  test('a second one is refused, a killed one replaced, pods stay, and stopping twice does not hurt', async () => {
    await using world = await BerthWorld.open();
    await world.start();
    expect((await stat(world.socket)).mode & 0o777).toBe(0o600);
    // Others may pass through it, for the containers' mounts, and see nothing.
    expect((await stat(join(world.dir, 'run'))).mode & 0o777).toBe(0o711);
    await world.importBusybox();
    await world.apply(
      `{apiVersion: v1, kind: Pod, metadata: {name: stays}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "${busybox}", command: [sleep, "100000"]}]}}`,
    );
    await world.untilReady('stays');
    const container = await world.ok(
      'get',
      'pod',
      'stays',
      '-o',
      'jsonpath={.status.containerStatuses[0].containerID}',
    );

    const second = await runProcess(process.execPath, [berthMain, 'agent', ...world.agentFlags]);
    expect([second.code, second.stderr]).toEqual([
      1,
      expect.stringContaining('another berth agent runs on this machine'),
    ]);
    // A run folder of its own does not make it another agent: it would take the pods for leftovers.
    const elsewhere = ['--run-dir', join(world.dir, 'run2')];
    const third = await runProcess(process.execPath, [berthMain, 'agent', ...world.agentFlags, ...elsewhere]);
    expect([third.code, third.stderr]).toEqual([
      1,
      expect.stringContaining(`use ${join(world.dir, 'kubelet')}: another berth agent runs on this machine`),
    ]);
    await tryHostProgram(['umount', join(world.dir, 'run2')]);
    expect(await world.ok('get', 'pods')).toContain('1/1');

    await world.stop('SIGKILL');
    expect((await world.berth(['get', 'pods'])).stderr).toContain('no berth agent answers');
    const agent = await world.start();
    await world.untilReady('stays');
    expect(await world.ok('get', 'pod', 'stays', '-o', 'jsonpath={.status.containerStatuses[0].containerID}')).toBe(
      container,
    );

    const ended = once(agent, 'close');
    agent.kill('SIGTERM');
    agent.kill('SIGINT');
    agent.kill('SIGTERM');
    expect((await ended) as unknown[]).toEqual([0, null]);
    expect(world.agentLog).toContain('stopping; pods keep running');
    expect(world.agentLog).not.toContain('"level":"error"');
    world.agent = undefined;
    expect(await tryHostProgram(['pgrep', '-f', `conmon.*${world.name}`])).toMatchObject({
      end: { kind: 'exited', code: 0 },
    });
  });

  test('a mask of the shell and a run folder made by others close nothing to containers', async () => {
    await using world = await BerthWorld.open();
    const runDir = join(world.dir, 'run');
    await mkdir(runDir);
    await hostProgram(['mount', '-t', 'tmpfs', '-o', 'mode=700', 'berth-test', runDir]);
    await world.start({ umask: '077' });
    expect((await stat(runDir)).mode & 0o777).toBe(0o711);
    await world.importBusybox();
    await world.apply(`
apiVersion: v1
kind: ConfigMap
metadata: { name: words }
data: { greeting: hello }
---
apiVersion: v1
kind: Pod
metadata: { name: nobody }
spec:
  terminationGracePeriodSeconds: 0
  securityContext: { runAsUser: 65534, runAsGroup: 65534 }
  volumes: [{ name: words, configMap: { name: words } }, { name: room, emptyDir: {} }]
  containers:
    - name: main
      image: ${busybox}
      command: [sleep, "100000"]
      volumeMounts:
        - { name: words, mountPath: /words }
        - { name: room, mountPath: /room }
        - { name: room, mountPath: /part, subPath: part/of/it }`);
    await world.untilReady('nobody');
    const script = 'cat /words/greeting && cat /etc/hosts && ls / /part && echo x > /room/x && echo x > /tmp/x';
    expect(await world.berth(['exec', 'nobody', '--', 'sh', '-c', script])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^hello[^]*127\.0\.0\.1[^]*bin/),
    });
  });

  test('flags that are wrong are said with their names', async () => {
    const ran = await runProcess(process.execPath, [
      berthMain,
      'agent',
      '--manifest-url',
      'ftp://x',
      '--log-level',
      'loud',
    ]);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain('--manifest-url: expected an http or https URL');
    expect(ran.stderr).toContain('--log-level');
  });

  test('manifests: a broken one is reported with its place and stops nothing; what a file gives cannot be deleted elsewhere', async () => {
    await using world = await BerthWorld.open();
    const pod = (name: string): string =>
      `{apiVersion: v1, kind: Pod, metadata: {name: ${name}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "${busybox}", command: [sleep, "100000"]}]}}\n`;
    await writeFile(join(world.manifests, 'good.yaml'), pod('good'));
    await writeFile(
      join(world.manifests, 'bad.yaml'),
      'apiVersion: v1\nkind: Pod\nmetadata: { name: bad }\nspec:\n  contaners: []\n',
    );
    await world.start();
    await world.importBusybox();
    await world.ok('retry', 'good');
    await world.untilReady('good');
    expect(await world.ok('get', 'manifests')).toMatch(/bad\.yaml +no .* 5:3: spec\.contaners: unknown field/);
    expect((await world.berth(['why', 'bad'])).stdout).toMatch(/bad\.yaml cannot be used as it is:\n {2}5:3: /);
    expect(await world.berth(['delete', 'pod', 'good'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/given by .*good\.yaml; remove it there/),
    });
    expect((await world.berth(['apply', '-f', '-'], { input: pod('good') })).stderr).toMatch(
      /given by .*good\.yaml; change it there/,
    );
    await rm(join(world.manifests, 'good.yaml'));
    await world.until('it is gone', async () => (await world.ok('get', 'pods', '-o', 'name')) === '');
  });
});
