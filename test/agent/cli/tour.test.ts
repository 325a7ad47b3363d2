import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { once } from 'node:events';
import { berthMain, BerthWorld, busybox, runBerth, runProcess } from './berth-world.js';

let world: BerthWorld;

const manifest = `
apiVersion: v1
kind: ConfigMap
metadata: { name: words }
data: { greeting: good morning }
---
apiVersion: v1
kind: Secret
metadata: { name: door }
stringData: { password: open sesame }
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: { app: web, tier: front }
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
    - { name: page, image: ${busybox}, command: [sh, -c, 'echo hello > /site/index.html'], volumeMounts: [{ name: site, mountPath: /site }] }
  containers:
    - name: server
      image: ${busybox}
      command: [sh, -c, 'echo serving; echo careful >&2; exec httpd -f -p 80 -h /site']
      volumeMounts: [{ name: site, mountPath: /site }]
      env: [{ name: PASSWORD, valueFrom: { secretKeyRef: { name: door, key: password } } }]
    - name: reader
      image: ${busybox}
      stdin: true
      command: [sh, -c, 'while read line; do echo "got $line"; done; echo end; sleep 1000']
  volumes: [{ name: site, emptyDir: {} }]
---
apiVersion: v1
kind: Pod
metadata: { name: once, labels: { app: once } }
spec:
  restartPolicy: Never
  containers:
    - { name: main, image: ${busybox}, command: [sh, -c, 'for n in 1 2 3 4 5; do echo line $n; done'] }
`;

beforeAll(async () => {
  world = await BerthWorld.open();
  await world.start();
  await world.importBusybox();
  expect(await world.apply(manifest)).toBe(
    'configmap/words created\nsecret/door created\npod/web created\npod/once created\n',
  );
  await world.untilReady('web');
  await world.until('once is done', async () => (await world.ok('get', 'pod', 'once')).includes('Completed'));
});
afterAll(async () => await world[Symbol.asyncDispose]());

describe('get', () => {
  test('pods, in every form', async () => {
    expect(await world.ok('get', 'pods')).toMatch(
      /^NAME {3}READY {3}STATUS {6}RESTARTS {3}AGE\nonce {3}0\/1 {5}Completed {3}0 {10}[\dms]+\nweb {4}2\/2 {5}Running {5}0 {10}[\dms]+\n$/,
    );
    expect(await world.ok('get', 'po', '-o', 'wide', '-l', 'tier in (front)')).toMatch(
      / 10\.230\.\d+\.\d+ +test-node +<none>\n$/,
    );
    expect(await world.ok('get', 'pods', '-o', 'name')).toBe('pod/once\npod/web\n');
    expect(await world.ok('get', 'pod/web', '-o', 'jsonpath={.metadata.labels.app} {.status.phase}')).toBe(
      'web Running\n',
    );
    const list = JSON.parse(await world.ok('get', 'pods', '-A', '-o', 'json')) as {
      kind: string;
      items: { kind: string }[];
    };
    expect([list.kind, ...list.items.map(({ kind }) => kind)]).toEqual(['List', 'Pod', 'Pod']);
    expect(await world.ok('get', 'pod', 'web', '-o', 'yaml')).toMatch(
      /^apiVersion: v1\nkind: Pod\nmetadata:\n {2}name: web\n/,
    );
    expect(await world.ok('get', 'pods', '-A', '--no-headers')).toMatch(/^default {3}once/);
  });

  test('what is not there is said with exit code 1, nothing at all with 0', async () => {
    expect(await world.berth(['get', 'pod', 'nobody'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Error: pods "nobody" not found\n',
    });
    expect(await world.berth(['get', 'pods', '-n', 'empty'])).toEqual({
      code: 0,
      stdout: '',
      stderr: 'No resources found in empty namespace.\n',
    });
  });

  test('other kinds; secrets keep their values unless they are asked for', async () => {
    expect(await world.ok('get', 'cm')).toMatch(/^NAME {4}DATA {3}AGE\nwords {3}1 {6}[\dms]+\n$/);
    expect(await world.ok('get', 'secret', 'door', '-o', 'yaml')).toContain('password: (11 bytes)');
    const shown = await world.ok('get', 'secret', 'door', '-o', 'jsonpath={.data.password}', '--show-values');
    expect(Buffer.from(shown, 'base64').toString()).toBe('open sesame');
    expect(await world.ok('get', 'node')).toMatch(/^NAME +STATUS +PODS +AGE +VERSION\ntest-node +Ready +1\/2 /);
    expect(await world.ok('plugins')).toMatch(/cni +bt\w+ +\S+ +yes +bridge, portmap/);
    expect(await world.ok('describe', 'secret', 'door')).not.toContain('b3Blbi');
  });

  test('chosen by fields, in columns of one’s own, several types at once', async () => {
    expect(await world.ok('get', 'pods', '--field-selector', 'status.phase=Running', '-o', 'name')).toBe('pod/web\n');
    expect(await world.ok('get', 'pods', '-o', 'custom-columns=NAME:.metadata.name,WHERE:.spec.nodeName')).toBe(
      'NAME   WHERE\nonce   test-node\nweb    test-node\n',
    );
    expect(await world.ok('get', 'pods', '--sort-by', '.status.phase', '-L', 'app', '--no-headers')).toMatch(
      /^web .* web\nonce .* once\n$/,
    );
    expect(await world.ok('get', 'cm,secret', '-o', 'name')).toBe('configmap/words\nsecret/door\n');
    expect(await world.ok('get', 'all')).toMatch(/pod\/web .*\n\n.*\nconfigmap\/words [^]*secret\/door /);
    expect(await world.ok('get', 'pods', '-o', 'jsonpath={.items[?(@.metadata.name=="web")].status.phase}')).toBe(
      'Running\n',
    );
    expect((await world.berth(['get', 'replicasets'])).code).toBe(2);
    expect((await world.berth(['nonsense'])).code).toBe(2);
  });

  test('other kinds are watched too, and deleted by label or all at once', async () => {
    const watching = world.begin('get', 'cm', '-w');
    let text = '';
    watching.stdout.on('data', (chunk: string) => (text += chunk));
    await world.until('the table', () => Promise.resolve(text.includes('words ')));
    const maps = ['a', 'b', 'c'].map((name) => {
      return `{apiVersion: v1, kind: ConfigMap, metadata: {name: ${name}, namespace: brief, labels: {name: ${name}}}}`;
    });
    await world.apply([...maps, maps[0]?.replace(', namespace: brief', '')].join('\n---\n'));
    await world.until('it is seen', () => Promise.resolve(/^a +0 /m.test(text)));
    watching.kill('SIGINT');
    expect((await once(watching, 'exit')) as unknown[]).toEqual([0, null]);
    expect(await world.ok('delete', 'cm', '-n', 'brief', '-l', 'name in (a, b)')).toBe(
      'configmap "a" deleted\nconfigmap "b" deleted\n',
    );
    expect(await world.ok('delete', 'cm', '-n', 'brief', '--all')).toBe('configmap "c" deleted\n');
    expect((await world.berth(['delete', 'cm', '-n', 'brief', '--all'])).stderr).toBe('No resources found\n');
    await world.ok('delete', 'cm', 'a');
  });

  test('a watch shows what is there, then what changes', async () => {
    const watching = world.begin('get', 'pods', '-w');
    let text = '';
    watching.stdout.on('data', (chunk: string) => (text += chunk));
    await world.until('the table', () => Promise.resolve(text.includes('web ')));
    await world.apply(
      `{apiVersion: v1, kind: Pod, metadata: {name: brief}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "${busybox}", command: [sleep, "1000"]}]}}`,
    );
    await world.until('it runs', () => Promise.resolve(/brief +1\/1 +Running/.test(text)));
    await world.ok('delete', 'pod', 'brief');
    await world.until('it ends', () => Promise.resolve(/brief +\S+ +Terminating/.test(text)));
    watching.kill('SIGINT');
    expect((await once(watching, 'exit')) as unknown[]).toEqual([0, null]);
  });

  test('how long it takes, its own start included', async () => {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const started = performance.now();
      await world.ok('get', 'pods');
      times.push(performance.now() - started);
    }
    times.sort((a, b) => a - b);
    process.stdout.write(`berth get pods: ${times.map((ms) => ms.toFixed(0)).join(', ')} ms\n`);
    expect(times[0]).toBeLessThan(3000);
  });
});

describe('logs', () => {
  test('tail, timestamps, one stream after the other container', async () => {
    expect(await world.ok('logs', 'once', '--tail', '2')).toBe('line 4\nline 5\n');
    expect(await world.ok('logs', 'pod/once', '--tail', '1', '--timestamps')).toMatch(/^\d{4}-\d\d-\d\dT\S+ line 5\n$/);
    expect(await world.ok('logs', 'once', '--limit-bytes', '6')).toBe('line 1');
    // Two streams have no order, and a container that runs may not have said anything yet.
    await world.until('both streams', async () => {
      const text = await world.ok('logs', 'web', '-c', 'server');
      return ['serving\ncareful\n', 'careful\nserving\n'].includes(text);
    });
    const { stderr } = await world.berth(['logs', 'web']);
    expect(stderr).toBe('Defaulted container "server" out of: server, reader, page (init)\n');
    expect(await world.ok('logs', '-l', 'app', '--prefix', '--tail', '1')).toMatch(/\[pod\/once\/main\] line 5\n/);
  });

  test('following ends with the container', async () => {
    expect(await world.ok('logs', 'once', '-f')).toBe('line 1\nline 2\nline 3\nline 4\nline 5\n');
  });

  test('Ctrl-C ends following without a complaint', async () => {
    const ran = await world.berth(['logs', 'web', 'server', '-f'], {
      interrupt: { until: 'serving', signal: 'SIGINT' },
    });
    expect(ran).toEqual({ code: 0, stdout: expect.stringContaining('serving'), stderr: '' });
  });

  test.each([
    [['logs', 'nobody'], 'pods "nobody" not found in namespace "default"'],
    [['logs', 'web', '-c', 'nobody'], 'container "nobody" is not in pod "web"'],
    [['logs', 'web', '-c', 'server', '-p'], 'previous terminated container "server" in pod "web" not found'],
    [['logs', 'web', '-c', '../../../../etc'], 'container "../../../../etc" is not in pod "web"'],
    [['logs', '../../etc/passwd'], 'expected the name of a pod'],
    [['logs', '..'], 'pods ".." not found'],
    [['logs', 'web', '-n', '../../etc'], "argument '../../etc' is invalid. a namespace is named in lower case letters"],
  ])('%j', async (args, message) => {
    const ran = await world.berth(args);
    expect(ran.code).not.toBe(0);
    expect(ran.stdout).toBe('');
    expect(ran.stderr).toContain(message);
  });
});

describe('exec and attach', () => {
  test('both streams, standard input, the exit code', async () => {
    expect(await world.berth(['exec', 'web', '-q', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7'])).toEqual({
      code: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    const much = 'x'.repeat(300_000);
    const ran = await world.berth(['exec', '-i', '-q', 'web', '--', 'wc', '-c'], { input: much });
    expect(ran).toEqual({ code: 0, stdout: '300000\n', stderr: '' });
    expect((await world.berth(['exec', 'web', '-q', '--', 'head', '-c', '2000000', '/dev/zero'])).stdout.length).toBe(
      2_000_000,
    );
  });

  test('a terminal has the size of ours, and a program that is not there is said', async () => {
    // An OCI runtime may set the size a moment after the command began.
    const command = `stty rows 33 cols 101; ${process.execPath} ${berthMain} exec -itq web --socket ${world.socket} -- sh -c 'until stty size 2>/dev/null; do sleep 0.1; done; exit 5'`;
    const ran = await runProcess('script', ['-qec', command, '/dev/null']);
    expect(ran.stdout).toContain('33 101');
    expect(ran.code).toBe(5);
    const missing = await world.berth(['exec', 'web', '-q', '--', 'no-such-program']);
    expect(missing.code).not.toBe(0);
    expect(`${missing.stderr}${missing.stdout}`).toContain('no-such-program');
  });

  test('when we go, the command goes', async () => {
    const ran = await world.berth(['exec', 'web', '-q', '--', 'sh', '-c', 'echo started; exec sleep 4242'], {
      interrupt: { until: 'started', signal: 'SIGKILL' },
    });
    expect(ran.code).toBeNull();
    await world.until(
      'the command ended',
      async () => !(await world.ok('exec', 'web', '-q', '--', 'ps')).includes('sleep 4242'),
    );
  });

  test.each([
    [['exec', 'web', '-c', '../page', '--', 'ls'], 'container "../page" is not in pod "web"'],
    [['exec', 'web', '-c', 'page', '--', 'ls'], 'container "page" in pod "web" does not run'],
    [['exec', 'once', '--', 'ls'], 'container "main" in pod "once" does not run; see: berth why once'],
    [['exec', 'web'], 'expected a command'],
  ])('%j', async (args, message) => {
    const ran = await world.berth(args);
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).toContain(message);
  });

  test('attach joins the main process', async () => {
    const attached = world.begin('attach', '-i', 'web', '-c', 'reader');
    let text = '';
    attached.stdout.on('data', (chunk: string) => (text += chunk));
    await world.until('it answers', async () => {
      attached.stdin.write('one\n');
      await new Promise((resolve) => setTimeout(resolve, 100));
      return text.includes('got one');
    });
    attached.kill('SIGKILL');
    await once(attached, 'exit');
    expect(await world.ok('get', 'pod', 'web')).toContain('2/2');
  });
});

test('port-forward reaches the pod, one connection after the other, and says what fails', async () => {
  const forwarding = world.begin('port-forward', 'web', ':80', ':81');
  let text = '';
  for (const stream of [forwarding.stdout, forwarding.stderr]) stream.on('data', (chunk: string) => (text += chunk));
  await world.until('it listens', () => Promise.resolve(/:\d+ -> 81/.test(text)));
  const portOf = (remote: number): string => new RegExp(`127\\.0\\.0\\.1:(\\d+) -> ${remote}`).exec(text)?.[1] ?? '';
  for (let round = 0; round < 3; round++)
    expect(await (await fetch(`http://127.0.0.1:${portOf(80)}/`)).text()).toBe('hello\n');
  await expect(fetch(`http://127.0.0.1:${portOf(81)}/`)).rejects.toThrow('fetch failed');
  await world.until('the failure is said', () => Promise.resolve(text.includes('nothing listens on it')));
  forwarding.kill('SIGINT');
  expect((await once(forwarding, 'exit')) as unknown[]).toEqual([0, null]);
  expect((await world.berth(['port-forward', 'web', '0:99999'])).stderr).toContain(
    'expected PORT, LOCAL:PORT or :PORT',
  );
});

describe('what happened and why', () => {
  test('describe, events and trace', async () => {
    const text = await world.ok('describe', 'pod', 'web');
    for (const part of [
      /^Name: +web$/m,
      /PASSWORD: key password of Secret door/,
      /Waiting For: {2}nothing/,
      /Started +[\dms]+ +spec\.containers\{server\}: Container started/,
    ])
      expect(text).toMatch(part);
    expect(await world.ok('events', '--for', 'web')).toMatch(
      /Normal +Started +pod\/web +spec\.containers\{server\}: Container started/,
    );
    const trace = await world.ok('trace', 'web', '--interface', 'cni', '--verbose');
    expect(trace).toMatch(/cni bridge ADD +default\/web/);
    expect(trace).toContain('"bridge":');
    expect(await world.ok('trace', 'web', '--plugin', 'crun', '--verb', 'create')).toMatch(
      /oci crun create +default\/web server/,
    );
  });

  test('secrets are in no record', async () => {
    for (const command of [
      ['trace', '-v', '--last', '1000'],
      ['trace', '-o', 'json'],
      ['why', 'web', '-o', 'json'],
      ['events', '-o', 'json'],
    ])
      expect(await world.ok(...command)).not.toMatch(/open sesame|b3BlbiBzZXNhbWU/);
    expect(await readFile(join(world.dir, 'state', 'calls', 'calls.jsonl'), 'utf8')).not.toMatch(
      /open sesame|b3BlbiBzZXNhbWU/,
    );
  });

  test('why, for a pod that is well, one in trouble, and one that is not there', async () => {
    expect(await world.ok('why', 'web')).toMatch(/^Pod default\/web is Running: it is as it should be\n/);
    await world.apply(
      `{apiVersion: v1, kind: Pod, metadata: {name: stuck}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "localhost/nobody:1", imagePullPolicy: Never}]}}`,
    );
    await world.until('it is stuck', async () => (await world.ok('get', 'pods')).includes('ErrImageNeverPull'));
    const text = await world.ok('why', 'stuck');
    expect(text).toContain('getting the image: ');
    expect(text).toContain('ErrImageNeverPull: Container image "localhost/nobody:1" is not present');
    expect(text).toMatch(/tried again (in \d+s|now)/);
    expect(text).toContain('→ bring the image here with: berth images import FILE');
    expect(await world.ok('retry', 'stuck')).toBe('pod/stuck retried\n');
    expect(await world.ok('delete', 'pod', 'stuck', '--now')).toBe('pod "stuck" deleted\n');
    const nobody = await world.berth(['why', 'nobody']);
    expect([nobody.code, nobody.stdout.split('\n')[0]]).toEqual([1, 'There is no pod default/nobody on this node.']);
  });
});

test('images: names, pins, archives, and what holds them', async () => {
  expect(await world.ok('images')).toMatch(
    /localhost\/test\/busybox:1 +\w{12} +\S+ +used by default\/once, used by default\/web/,
  );
  const refused = await world.berth(['images', 'rm', busybox]);
  expect(refused).toEqual({ code: 1, stdout: '', stderr: expect.stringContaining('it is used by default/') });
  await world.ok('images', 'tag', busybox, 'localhost/test/other:2');
  await world.ok('images', 'pin', 'localhost/test/other:2');
  expect(await world.ok('images')).toContain('pinned, used by');
  await world.ok('images', 'unpin', 'localhost/test/other:2');
  const archive = join(world.dir, 'out.tar');
  await world.ok('images', 'export', busybox, '-o', archive);
  expect((await stat(archive)).size).toBeGreaterThan(100_000);
  expect((await world.berth(['images', 'export', busybox, '-o', archive])).stderr).toContain('it is there already');
  expect(await world.ok('images', 'import', archive, '--tag', 'localhost/test/third:3')).toContain(
    'localhost/test/third:3',
  );
  const pull = await world.berth(['images', 'pull', '127.0.0.1:1/nothing:1']);
  expect([pull.code, pull.stderr]).toEqual([1, expect.stringMatching(/refused/)]);
  expect((await world.berth(['images', 'import', join(world.dir, 'nothing.tar')])).stderr).toContain('ENOENT');
  expect((await world.berth(['images', 'import', '-'], { input: 'no archive at all' })).code).toBe(1);
});

test('apply: unchanged, refused with every problem and its place, and nothing half done', async () => {
  expect(await world.apply(manifest)).toContain('pod/web unchanged');
  const bad = `apiVersion: v1
kind: ConfigMap
metadata: { name: first }
---
apiVersion: v1
kind: Pod
metadata: { name: bad }
spec:
  contaners: []
  containers:
    - name: x
      image: y
      resources: { limits: { memory: 5 potatoes } }
`;
  const ran = await world.berth(['apply', '-f', '-'], { input: bad });
  expect(ran.code).toBe(1);
  expect(ran.stderr).toMatch(/9:\d+: spec\.contaners: unknown field/);
  expect(ran.stderr).toMatch(/13:\d+: spec\.containers\[0\]\.resources\.limits\.memory: /);
  expect((await world.berth(['get', 'cm', 'first'])).code).toBe(1);
  const changed = await world.berth(['apply', '-f', '-'], { input: manifest.replace('echo serving', 'echo more') });
  expect(changed.stderr).toContain('spec.containers[0].command[2] cannot be changed while the pod exists');
  for (const input of ['', '{', `[${'['.repeat(5000)}`, 'a: &x [*x, *x]', '\u0000\u0001'])
    expect((await world.berth(['apply', '-f', '-'], { input })).code).toBe(1);
  expect((await world.berth(['delete', '-f', '-'], { input: manifest.split('---')[0] ?? '' })).stdout).toBe(
    'configmap "words" deleted\n',
  );
});

test('completion knows commands, options and names', async () => {
  for (const shell of ['bash', 'zsh', 'fish'])
    expect((await runBerth(['completion', shell])).stdout).toContain('berth __complete');
  expect((await runBerth(['completion', 'tcsh'])).code).toBe(2);
  const ask = async (...words: string[]): Promise<string> => (await runBerth(['__complete', '--', ...words])).stdout;
  expect(await ask('lo')).toBe('logs\n');
  expect(await ask('logs', '--socket', world.socket, 'w')).toBe('web\n');
  expect(await ask('logs', '--socket', '/nowhere', '')).toBe('');
  // As bash itself would ask: it takes a colon for the end of a word, and replaces only what stands after it.
  const script = `source <(${process.execPath} ${berthMain} completion bash)
berth() { ${process.execPath} ${berthMain} "$@"; }
compl() { COMP_LINE="$1"; COMP_POINT=\${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _berth; printf '%s;' "\${COMPREPLY[@]}"; }
compl 'berth logs o' berth logs o
compl 'berth images rm localhost/test/busybox:' berth images rm localhost/test/busybox :`;
  const ran = await runProcess('bash', ['--norc', '-c', script], { env: { BERTH_SOCKET: world.socket } });
  expect(ran.stdout).toBe('once;1;');
});

test('the command line itself: help, unknown words, no agent', async () => {
  expect((await runBerth(['--help'])).stdout).toContain('port-forward');
  expect((await runBerth(['gett', 'pods'])).stderr).toContain('Did you mean get?');
  expect((await world.berth(['get', 'things'])).stderr).toContain('this node has no resource type "things"');
  expect(await runBerth(['get', 'pods', '--socket', '/run/nobody.sock'])).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'berth: no berth agent answers on /run/nobody.sock; start one with: berth agent (or, with samples: berth demo)\n',
  });
});
