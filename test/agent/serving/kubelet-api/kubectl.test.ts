import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sampleImage } from '../../agent-world.js';
import { hasControlPlane } from '../../../support/control-plane.js';
import { freePorts } from '../../../support/free-ports.js';
import { KubectlWorld } from './kubectl-world.js';
import { kubectlProgram } from './whole-cluster.js';
import { ask } from './https-client.js';

const script = 'n=0; trap "exit 0" TERM; while true; do echo line $n; n=$((n+1)); sleep 0.2; done';
const echo = 'while read line; do echo "got $line"; done';

/** What people type at a real API server, which passes it on to the node. */
describe.runIf(hasControlPlane() && existsSync(kubectlProgram))('kubectl through a real API server', () => {
  let world: KubectlWorld;
  beforeAll(async () => {
    world = await KubectlWorld.open();
    const { node } = world;
    await node.create(node.pod('talker', {}, { command: ['sh', '-c', script] }));
    await node.create(node.pod('listener', {}, { command: ['sh', '-c', echo], stdin: true }));
    await node.create(node.pod('shell', {}, { command: ['sh'], stdin: true, tty: true }));
    const two = ['first', 'second'].map((name) => ({
      name,
      image: sampleImage,
      command: ['sh', '-c', `echo of ${name}; exec sleep 1000000`],
    }));
    await node.create(node.pod('pair', { containers: two }));
    await node.create(node.pod('crashed', {}, { command: ['sh', '-c', 'echo first; exit 3'] }));
    await node.create(node.pod('unpullable', {}, { image: 'localhost/none/such:1', imagePullPolicy: 'Never' }));
    for (const name of ['talker', 'listener', 'shell']) await node.untilReady(name);
  });
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  /** Resolves with what it prints once that is as it should be: a container that runs may not have said anything yet. */
  const says = (args: readonly string[], expected: RegExp): Promise<string> => {
    let text = '';
    const look = async (): Promise<string | undefined> =>
      expected.test((text = await world.kubectl(args))) ? text : undefined;
    return world.cluster.until(`kubectl ${args.join(' ')}: ${String(expected)}`, look).catch((err: unknown) => {
      throw new Error(`it prints ${JSON.stringify(text.slice(-500))}`, { cause: err });
    });
  };

  test('logs: all, the last lines, since when, of all containers, followed, of the instance before, and none', async () => {
    await says(['logs', 'talker'], /^line 0\nline 1\n/);
    // One more may be written while the last ones are read.
    await says(['logs', 'talker', '--tail=1'], /^line \d+\n$/);
    expect(await world.kubectl(['logs', 'talker', '--timestamps', '--limit-bytes=24'])).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{4}$/,
    );
    await says(['logs', 'talker', '--since=1h', '--tail=2'], /^line \d+\nline \d+\n$/);
    const asked = Date.now();
    const recent = await says(['logs', 'talker', '--since=1s', '--timestamps'], /^\S+ line \d+\n/);
    // No older than what it was asked for, whenever it was answered.
    expect(Date.parse(recent.split(' ')[0] ?? '')).toBeGreaterThanOrEqual(asked - 1000);
    expect(await world.kubectl(['logs', 'talker', '--since-time=2099-01-01T00:00:00Z'])).toBe('');
    await world.node.untilReady('pair');
    await says(['logs', 'pair', '-c', 'first'], /^of first\n$/);
    await says(['logs', 'pair', '-c', 'second'], /^of second\n$/);
    const all = await world.kubectl(['logs', 'pair', '--all-containers', '--prefix']);
    expect(all.split('\n').toSorted().join(' ')).toBe(' [pod/pair/first] of first [pod/pair/second] of second');
    {
      await using following = world.start(['logs', '-f', 'talker', '--tail=1']);
      const last = Number(/line (\d+)/.exec(await world.kubectl(['logs', 'talker', '--tail=1']))?.[1]);
      await following.until(`line ${last + 5}\n`);
    }
    await world.node.untilPod(
      'restarted',
      'crashed',
      ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
    );
    expect(await world.kubectl(['logs', 'crashed', '--previous'])).toBe('first\n');
    const refused = await world.try(['logs', 'unpullable']);
    expect(refused.stderr).toContain('container "main" in pod "unpullable" is waiting to start: ');
    expect((await world.try(['logs', 'talker', '--previous'])).stderr).toContain(
      'previous terminated container "main" in pod "talker" not found',
    );
  });

  test('exec: output, errors, input, exit codes, a terminal with its size', async () => {
    expect(await world.kubectl(['exec', 'talker', '--', 'echo', 'hello', 'there'])).toBe('hello there\n');
    const both = await world.try(['exec', 'talker', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
    expect(both).toMatchObject({ end: { kind: 'exited', code: 7 }, stdout: Buffer.from('out\n') });
    expect(both.stderr).toContain('err\n');
    const bytes = randomBytes(3 * 1024 * 1024).toString('base64');
    expect(await world.kubectl(['exec', '-i', 'talker', '--', 'cat'], bytes)).toBe(bytes);
    await using shell = world.start(['exec', '-it', 'talker', '--', 'sh'], { terminal: true });
    shell.child.stdin.write('stty size; tty && echo it-is-$((40+2)); exit 5\n');
    await shell.until('it-is-42');
    expect(shell.text).toContain('33 91\r\n');
    expect(await shell.ended()).toBe(5);
    expect((await world.try(['exec', 'talker', '--', '/no/such'])).end).not.toMatchObject({ code: 0 });
  });

  test('exec over SPDY, as clients before 1.31 do', async () => {
    const result = await world.try(['exec', 'talker', '--', 'sh', '-c', 'echo spdy; exit 4'], undefined, {
      KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false',
    });
    expect(result).toMatchObject({ end: { kind: 'exited', code: 4 }, stdout: Buffer.from('spdy\n') });
  });

  test('attach: to output, to input, to a terminal', async () => {
    {
      await using attached = world.start(['attach', 'talker']);
      await attached.until('line ');
    }
    {
      await using attached = world.start(['attach', '-i', 'listener']);
      attached.child.stdin.write('one\ntwo\n');
      await attached.until('got one\ngot two\n');
    }
    await using shell = world.start(['attach', '-it', 'shell'], { terminal: true });
    shell.child.stdin.write('echo attached-$((1+1))\n');
    await shell.until('attached-2');
  });

  test('cp: a large file and a folder there and back, bytes unchanged', async () => {
    const content = randomBytes(24 * 1024 * 1024);
    const from = join(world.node.world.dir, 'sent');
    const back = join(world.node.world.dir, 'received');
    await writeFile(from, content);
    await world.kubectl(['cp', from, 'talker:/tmp/copied']);
    await world.kubectl(['cp', 'talker:/tmp/copied', back]);
    expect(content.equals(await readFile(back))).toBe(true);

    const tree = join(world.node.world.dir, 'tree');
    await mkdir(join(tree, 'deep/er'), { recursive: true });
    await writeFile(join(tree, 'empty'), '');
    await writeFile(join(tree, 'deep/er/name with spaces'), 'words\n');
    await world.kubectl(['cp', tree, 'talker:/tmp/tree']);
    expect(await world.kubectl(['exec', 'talker', '--', 'cat', '/tmp/tree/deep/er/name with spaces'])).toBe('words\n');
    await world.kubectl(['cp', 'talker:/tmp/tree', join(world.node.world.dir, 'tree-back')]);
    const entries = (dir: string): Promise<string[]> => readdir(join(world.node.world.dir, dir), { recursive: true });
    expect((await entries('tree-back')).toSorted()).toEqual((await entries('tree')).toSorted());
  });

  test('port-forward: several connections at once, and a port where nobody listens', async () => {
    const { node } = world;
    const answer = 'mkdir -p /www; echo served > /www/index.html; exec httpd -f -p 8080 -h /www';
    const readinessProbe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 };
    await node.create(node.pod('server', {}, { command: ['sh', '-c', answer], readinessProbe }));
    await node.untilReady('server');
    const [port = 0, unused = 0] = await freePorts(2);
    await using forward = world.start(['port-forward', 'pod/server', `${port}:8080`, `${unused}:9`]);
    await forward.until('Forwarding from 127.0.0.1:');
    await forward.until(`127.0.0.1:${unused}`);
    const texts = await Promise.all([1, 2, 3].map(() => httpOver(port)));
    for (const text of texts) expect(text).toMatch(/200 OK[^]*served\n$/);
    expect(await httpOver(unused)).toBe('');
    await forward.until('error forwarding port 9');
  });

  test("with the API server's own certificate: metrics, summary, configz, healthz, node logs, pods", async () => {
    const raw = async (path: string): Promise<string> => {
      const answer = await ask({ path, ...world.client });
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
      return answer.text;
    };
    expect(await raw('/healthz')).toBe('ok');
    expect(await raw('/metrics')).toContain('kubelet_http_requests_total{');
    expect(await raw('/metrics/resource')).toMatch(
      /^container_cpu_usage_seconds_total\{container="main".*pod="talker"/m,
    );
    expect(await raw('/metrics/cadvisor')).toContain('container_memory_working_set_bytes{');
    const summary = JSON.parse(await raw('/stats/summary')) as { pods: { podRef: { name: string } }[] };
    expect(summary.pods.map(({ podRef }) => podRef.name)).toContain('talker');
    expect(JSON.parse(await raw('/configz'))).toMatchObject({
      kubeletconfig: { kind: 'KubeletConfiguration', authorization: { mode: 'Webhook' } },
    });
    const pods = JSON.parse(await raw('/pods')) as { items: { metadata: { name: string } }[] };
    expect(pods.items.map(({ metadata }) => metadata.name)).toContain('talker');
    const running = JSON.parse(await raw('/runningpods/')) as { items: { metadata: { name: string } }[] };
    expect(running.items.map(({ metadata }) => metadata.name)).toContain('talker');
    expect(running.items.map(({ metadata }) => metadata.name)).not.toContain('unpullable');
    const dir = join(world.node.world.dir, 'logs');
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'messages'), 'of the machine\n');
    await symlink('/etc/passwd', join(dir, 'outside'));
    await symlink('messages', join(dir, 'inside'));
    expect(await raw('/logs/')).toContain('<a href="messages">');
    expect(await raw('/logs/messages')).toBe('of the machine\n');
    expect(await raw('/logs/inside')).toBe('of the machine\n');
    await expect(raw('/logs/outside')).rejects.toThrow('403 Forbidden');
    await expect(raw('/logs/..%2f..%2fetc/passwd')).rejects.toThrow('400 ');
  });

  test('run and checkpoint, straight to the node with a token the cluster reviews', async () => {
    const { cluster } = world;
    const { port } = world.client;
    const tokenOf = async (name: string): Promise<string> => {
      const accounts = '/api/v1/namespaces/default/serviceaccounts';
      await cluster.api('POST', accounts, { metadata: { name } });
      const { body } = await cluster.api('POST', `${accounts}/${name}/token`, { spec: {} });
      return `Bearer ${(body as { status: { token: string } }).status.token}`;
    };
    const run = { port, method: 'POST', path: '/run/default/talker/main?cmd=echo+ran' };
    const nobody = await tokenOf('nobody');
    expect(await ask({ ...run, authorization: nobody })).toMatchObject({ status: 403 });
    expect(await ask({ ...run, authorization: `${nobody}x` })).toMatchObject({ status: 401 });

    const operator = await tokenOf('operator');
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const rules = [
      { apiGroups: [''], resources: ['nodes/proxy', 'nodes/unsafeproxy', 'nodes/checkpoint'], verbs: ['*'] },
    ];
    await cluster.api('POST', `${rbac}/clusterroles`, { metadata: { name: 'operators' }, rules });
    await cluster.api('POST', `${rbac}/clusterrolebindings`, {
      metadata: { name: 'operators' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'operators' },
      subjects: [{ kind: 'ServiceAccount', namespace: 'default', name: 'operator' }],
    });
    await cluster.untilAllowed(
      { user: 'system:serviceaccount:default:operator' },
      { verb: 'create', resource: 'nodes', subresource: 'proxy', name: world.node.name },
    );
    const authorization = operator;
    expect(await ask({ ...run, authorization })).toMatchObject({ status: 200, text: 'ran\n' });
    const refused = await ask({ ...run, path: '/checkpoint/default/talker/main', authorization });
    expect(refused).toMatchObject({ status: 500 });
    expect(refused.text).toContain('checkpointing of default/talker/main failed');
  });
});

/** Everything an HTTP/1.0 request gets; empty when the connection is cut. */
async function httpOver(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', () => {});
  socket.write('GET /index.html HTTP/1.0\r\n\r\n');
  await once(socket, 'close');
  return text;
}
