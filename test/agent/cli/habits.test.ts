import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { berthMain, BerthWorld, busybox, runBerth, runProcess } from './berth-world.js';
import { ask, OpenApiContract, type Asked } from './openapi-contract.js';

let world: BerthWorld;

const manifest = `
apiVersion: v1
kind: Secret
metadata: { name: door }
stringData: { password: open sesame }
---
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: server
      image: ${busybox}
      command: [sh, -c, 'mkdir /site; echo hello > /site/index.html; exec httpd -f -p 80 -h /site']
      ports: [{ name: http, containerPort: 80 }]
---
apiVersion: v1
kind: Pod
metadata: { name: other, namespace: shop }
spec:
  terminationGracePeriodSeconds: 0
  containers: [{ name: main, image: "${busybox}", command: [sleep, "100000"] }]
`;

beforeAll(async () => {
  world = await BerthWorld.open();
  await writeFile(
    join(world.manifests, 'bad.yaml'),
    'apiVersion: v1\nkind: Pod\nmetadata: { name: bad }\nspec: { contaners: [] }\n',
  );
  await world.start();
  await world.importBusybox();
  await world.apply(manifest);
  await world.untilReady('web');
  await world.until('other is ready', async () => (await world.ok('get', 'pods', '-n', 'shop')).includes('1/1'));
});
afterAll(async () => {
  // With those of other namespaces.
  expect((await world.berth(['delete', 'pods', '--all', '-A', '--force'])).stdout).toBe(
    'pod "web" force deleted\npod "other" force deleted\n',
  );
  await world[Symbol.asyncDispose]();
});

test("top shows what pods and the node use, with kubectl's columns", async () => {
  // What was looked at before a pod came does not have it yet.
  await world.until('both pods to be counted', async () => {
    const lines = (await world.ok('top', 'pods', '-A', '--no-headers')).trim().split('\n');
    const names = lines.map((line) => line.split(/ {2,}/).slice(0, 2).join('/'));
    return names.join() === 'default/web,shop/other';
  });
  expect(await world.ok('top', 'pod', 'web', '--containers')).toMatch(
    /^POD +NAME +CPU\(cores\) +MEMORY\(bytes\)\nweb +server +(\d+m|<unknown>) +\d+Mi\n$/,
  );
  expect(await world.ok('top', 'node')).toMatch(
    /^NAME +CPU\(cores\) +CPU\(%\) +MEMORY\(bytes\) +MEMORY\(%\)\n\S+ +(\d+m +\d+%|<unknown> +<unknown>) +\d+Mi +\d+%\n$/,
  );
  expect(await world.berth(['top', 'pods', 'wbe'])).toEqual({
    code: 1,
    stdout: '',
    stderr: 'Error: pods "wbe" not found; did you mean "web"?\n',
  });
  expect((await world.berth(['top', 'images'])).code).toBe(2);
});

describe("options as kubectl's and docker's users write them", () => {
  const on = async (...args: string[]) => await runBerth(['--socket', world.socket, ...args]);

  test('before the command, with =, with =true, several letters at once', async () => {
    expect(await on('-n', 'shop', 'get', 'pods', '-o=name')).toEqual({ code: 0, stdout: 'pod/other\n', stderr: '' });
    expect((await on('get', 'pods', '--no-headers=true', '--show-labels=false')).stdout).toMatch(
      /^web +1\/1 +Running +0 +\S+\n$/,
    );
    expect((await on('get', 'pods', '-Lapp', '-A', '--no-headers')).stdout).toMatch(
      /^default +web .* web\nshop +other .*\n$/,
    );
    expect((await on('get', 'pods', '-o', 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}')).stdout).toBe(
      'web\n',
    );
    expect((await on('exec', '-qc', 'server', 'web', 'sh', '-c', 'echo $0 $1', 'a', '-b')).stdout).toBe('a -b\n');
    expect((await on('images', 'ls', '-q')).stdout).toMatch(/^\w{12}\n$/);
    expect((await on('logs', 'web', '--since=1h30m', '-t')).code).toBe(0);
  });

  test('what was meant is suggested, and what is there is named', async () => {
    const told = async (...args: string[]): Promise<[number | null, string]> => {
      const { code, stdout, stderr } = await on(...args);
      expect(stdout).toBe('');
      return [code, stderr];
    };
    expect(await told('get', 'pds')).toEqual([2, expect.stringContaining('did you mean "pods"?')]);
    expect(await told('get', 'pod', 'wbe')).toEqual([1, 'Error: pods "wbe" not found; did you mean "web"?\n']);
    expect(await told('logs', 'wbe')).toEqual([1, expect.stringContaining('did you mean "web"?')]);
    expect(await told('logs', 'other')).toEqual([1, expect.stringContaining('there is one in namespace "shop"')]);
    expect(await told('logs', 'web', '-c', 'sever')).toEqual([1, expect.stringContaining('it has server')]);
    expect(await told('apply', 'web.yaml')).toEqual([2, expect.stringContaining('berth apply -f web.yaml')]);
    expect(await told('images', 'prune')).toEqual([2, expect.stringContaining('there are ls, pull, import')]);
    expect(await told('trace', '--interface', 'cnl')).toEqual([2, expect.stringContaining('choices are cni, oci')]);
    expect(await told('delete')).toEqual([2, expect.stringContaining('berth delete pod NAME')]);
    expect(await told('images', 'export', busybox, 'a.tar')).toEqual([2, expect.stringContaining('too many')]);
    expect(await told('images', 'import', world.dir)).toEqual([2, expect.stringContaining('it is a folder')]);
    const nowhere = join(world.dir, 'nowhere', 'a.tar');
    expect(await told('images', 'export', busybox, '-o', nowhere)).toEqual([2, expect.stringContaining('ENOENT')]);
    expect(await told('trace', '-o', 'name')).toEqual([2, expect.stringContaining('expected json, yaml, wide')]);
    expect(await told('get', 'pod', 'nobody', '--ignore-not-found')).toEqual([0, '']);
    expect(await told('port-forward', 'web', 'https')).toEqual([2, expect.stringContaining('names http')]);
  });

  test('what is not there keeps none of the others from going', async () => {
    const file = async (name: string): Promise<string> => {
      const path = join(world.dir, `${name}.yaml`);
      await writeFile(path, `{ apiVersion: v1, kind: ConfigMap, metadata: { name: ${name} } }`);
      return path;
    };
    const files = [await file('first'), await file('never'), await file('last')];
    expect((await on('apply', '-f', ...files)).code).toBe(0);
    expect((await on('delete', '-f', files[1] ?? '')).code).toBe(0);
    expect(await on('delete', '-f', ...files)).toEqual({
      code: 1,
      stdout: 'configmap "first" deleted\nconfigmap "last" deleted\n',
      stderr: 'berth: delete configmap "never" in namespace "default": not found\n',
    });
    expect(await on('delete', '-f', ...files, '--ignore-not-found')).toEqual({ code: 0, stdout: '', stderr: '' });
    const both = join(world.dir, 'both.yaml');
    await writeFile(both, `${await readFile(files[0]!, 'utf8')}\n---\n${await readFile(files[1]!, 'utf8')}`);
    expect((await on('apply', '-f', files[0]!)).code).toBe(0);
    expect(await on('delete', '-f', both)).toEqual({
      code: 1,
      stdout: 'configmap "first" deleted\n',
      stderr: 'berth: delete configmap "never" in namespace "default": not found\n',
    });
    const extra = 'localhost/test/extra:1';
    await world.ok('images', 'tag', busybox, extra);
    expect(await on('images', 'rm', 'localhost/test/never:1', extra)).toEqual({
      code: 1,
      stdout: `${extra} removed\n`,
      stderr: expect.stringMatching(/^berth: .*never:1: there is no such image\n$/),
    });
  });

  test('describe takes all of a type, a label, and the beginning of a name', async () => {
    expect((await on('describe', 'pods', '-A')).stdout.match(/^Name: +(web|other)$/gm)).toHaveLength(2);
    expect((await on('describe', 'pod', 'we')).stdout).toMatch(/^Name: +web$/m);
    expect((await on('describe', 'pods', '-l', 'app=none')).stderr).toBe('No resources found\n');
  });

  test('templates for a node of Kubernetes work for this one', async () => {
    const path = 'jsonpath={.items[0].metadata.name} {.items[0].status.conditions[?(@.type=="Ready")].status}';
    expect((await on('get', 'nodes', '-o', path)).stdout).toBe('test-node True\n');
    const described = (await on('describe', 'node', 'test-node')).stdout;
    expect(described).toMatch(/^Conditions: +type MemoryPressure, status false, reason KubeletHasSufficientMemory/m);
    expect(described).toMatch(/^ +type Ready, status true, reason KubeletReady/m);
  });

  test('a port by its name, and the objects that were applied', async () => {
    const forwarding = world.begin('port-forward', 'pod/web', ':http');
    let text = '';
    forwarding.stdout.on('data', (chunk: string) => (text += chunk));
    await world.until('it listens', () => Promise.resolve(/127\.0\.0\.1:\d+ -> 80/.test(text)));
    const [, port = ''] = /127\.0\.0\.1:(\d+) -> 80/.exec(text) ?? [];
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello\n');
    forwarding.kill('SIGINT');
    await once(forwarding, 'exit');
    const { stdout } = await world.berth(['apply', '-f', '-', '-o', 'json'], { input: manifest });
    const { items } = JSON.parse(stdout) as { items: { kind: string; data?: { password: string } }[] };
    expect(items.map(({ kind }) => kind)).toEqual(['Secret', 'Pod', 'Pod']);
    expect(stdout).not.toMatch(/b3BlbiBzZXNhbWU|open sesame/);
  });

  test('events are watched in columns of one’s own, by type and by field', async () => {
    const columns = 'custom-columns=WHY:.reason,OF:.involvedObject.name';
    const watched = await runBerth(
      [
        'events',
        '-w',
        '-o',
        columns,
        '--types',
        'Normal,Warning',
        '--field-selector',
        'reason=Started',
        '--socket',
        world.socket,
      ],
      { interrupt: { until: 'web', signal: 'SIGINT' } },
    );
    expect(watched).toEqual({ code: 0, stdout: expect.stringMatching(/^WHY +OF\nStarted +web\n$/), stderr: '' });
    expect((await on('events', '--types', 'Loud')).code).toBe(2);
    expect((await on('get', 'events', '-o', 'name')).stdout).toMatch(/^event\//);
  });

  test('one name of an image goes alone, the one a pod asks for does not', async () => {
    await world.ok('images', 'tag', busybox, 'localhost/test/second:2');
    expect(await world.ok('images', 'rm', 'localhost/test/second:2')).toBe('localhost/test/second:2 removed\n');
    expect(await world.ok('images')).toContain(busybox);
    expect((await world.berth(['images', 'rm', busybox])).code).toBe(1);
  });

  test('a full disk below the output is a failure in words, a reader that goes is none', async () => {
    const script = (redirect: string): string =>
      `${process.execPath} ${berthMain} get pods -o json --socket ${world.socket} ${redirect}`;
    const full = await runProcess('bash', ['--norc', '-c', script('> /dev/full')]);
    expect(full).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^berth: write standard output: ENOSPC.*\n$/),
    });
    const gone = await runProcess('bash', ['--norc', '-c', `${script('| head -1')}; exit "\${PIPESTATUS[0]}"`]);
    expect(gone).toEqual({ code: 0, stdout: '{\n', stderr: '' });
  });
});

test('berth check on a machine that lacks things says which, and how to get them', async () => {
  const hidden = ['/usr/bin/conmon', '/usr/bin/crun', '/usr/sbin/runc', '/usr/bin/socat'];
  // Hidden in a mount namespace of its own: nobody else misses them.
  const script = [
    ...hidden.map((path) => `[ ! -e ${path} ] || mount --bind /dev/null ${path}`),
    `exec ${process.execPath} ${berthMain} check --cni-conf-dir ${join(world.dir, 'cni')} --run-dir ${world.dir} -o "$0"`,
  ].join('\n');
  const ran = await runProcess('unshare', ['--mount', 'bash', '--norc', '-c', script, 'json']);
  expect({ ...ran, stdout: '' }).toEqual({ code: 1, stdout: '', stderr: '' });
  const { ready, groups } = JSON.parse(ran.stdout) as {
    ready: boolean;
    groups: { findings: { subject: string; level: string; remedy: string[] }[] }[];
  };
  expect(ready).toBe(false);
  const found = groups.flatMap(({ findings }) => findings).filter(({ level }) => level === 'lack');
  expect(found.map(({ subject, remedy }) => [subject, remedy])).toEqual([
    ['OCI runtime', ['apt-get install crun']],
    ['conmon', ['apt-get install conmon']],
  ]);
  expect((await runBerth(['check', '-o', 'table'])).code).toBe(2);
});

test('every answer of the node API is as its description says, and says no more', async () => {
  const contract = new OpenApiContract();
  const web = { namespace: 'default', name: 'web' };
  const map = '{apiVersion: v1, kind: ConfigMap, metadata: {name: brief}}';
  const asked: readonly (Asked & { readonly lines?: number; readonly status?: number })[] = [
    { method: 'POST', path: '/v1/images/pull', body: '{"reference": "127.0.0.1:1/nothing:1"}' },
    { method: 'GET', path: '/v1/pods' },
    { method: 'GET', path: '/v1/pods', query: '?watch=true', lines: 3 },
    { method: 'GET', path: '/v1/pods/{namespace}/{name}', params: web },
    { method: 'GET', path: '/v1/pods/{namespace}/{name}', params: { ...web, name: 'nobody' }, status: 404 },
    { method: 'GET', path: '/v1/pods/{namespace}/{name}/log', params: web },
    { method: 'GET', path: '/v1/pods/{namespace}/{name}/why', params: web },
    { method: 'GET', path: '/v1/pods/{namespace}/{name}/why', params: { ...web, name: 'bad' } },
    { method: 'POST', path: '/v1/pods/{namespace}/{name}/retry', params: web },
    { method: 'POST', path: '/v1/apply', body: map },
    { method: 'POST', path: '/v1/apply', body: `${map.slice(0, -1)}, dta: 1}`, status: 422 },
    { method: 'GET', path: '/v1/objects/{kind}', params: { kind: 'cm' }, query: '?namespace=default' },
    { method: 'POST', path: '/v1/delete', body: map },
    { method: 'POST', path: '/v1/apply', body: map },
    {
      method: 'DELETE',
      path: '/v1/objects/{kind}/{namespace}/{name}',
      params: { kind: 'ConfigMap', ...web, name: 'brief' },
    },
    { method: 'GET', path: '/v1/events' },
    { method: 'GET', path: '/v1/events', query: '?watch=true', lines: 2 },
    { method: 'GET', path: '/v1/calls', query: '?earlier=true' },
    { method: 'GET', path: '/v1/calls', query: '?watch=true', lines: 5 },
    { method: 'GET', path: '/v1/manifests' },
    { method: 'POST', path: '/v1/manifests/rescan' },
    { method: 'GET', path: '/v1/images' },
    { method: 'POST', path: '/v1/images/import', body: 'no archive' },
    { method: 'GET', path: '/v1/images/export', query: `?reference=${busybox}` },
    { method: 'POST', path: '/v1/images/tag', query: `?reference=${busybox}&name=localhost/test/third:3` },
    { method: 'POST', path: '/v1/images/pin', query: `?reference=${busybox}&pinned=false` },
    { method: 'DELETE', path: '/v1/images', query: '?reference=localhost/test/third:3' },
    { method: 'GET', path: '/v1/node' },
    { method: 'GET', path: '/v1/plugins' },
    { method: 'GET', path: '/v1/pressure' },
    { method: 'GET', path: '/v1/stats/summary' },
    { method: 'GET', path: '/v1/stats/summary', query: '?onlyCpuAndMemory=true' },
    { method: 'GET', path: '/v1/config' },
    { method: 'GET', path: '/healthz' },
  ];
  for (const { lines, status = 200, ...question } of asked) {
    const answer = await ask(world.socket, question, lines);
    const problems = contract.problemsOf(question, answer);
    expect({ ...question, status: answer.status, problems }).toEqual({ ...question, status, problems: [] });
  }
  expect([...contract.kept].toSorted()).toEqual(contract.operations.toSorted());
});
