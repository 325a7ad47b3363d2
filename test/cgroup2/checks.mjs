// What is looked at in the guest: pods of the agent on a machine that has cgroup v2 only. Prints a line for each fact, at the end a verdict.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const dist = process.env.BERTH_DIST;
const driver = process.env.BERTH_INIT;
const home = '/berth-guest';
const socketPath = '/run/berth/berth.sock';
const cgroups = '/sys/fs/cgroup';
const image = 'localhost/test/busybox:1';
const started = performance.now();
const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
const failures = [];

function check(what, actual, expected) {
  try {
    assert.deepEqual(actual, expected);
    console.log(`GUEST: ok ${what}: ${JSON.stringify(actual)}`);
  } catch {
    failures.push(what);
    console.log(`GUEST: NOT OK ${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
  }
}

function checkThat(what, holds, shown) {
  check(`${what} (${shown})`, holds, true);
}

function call(method, path, body, options = { socketPath }) {
  return new Promise((resolve, reject) => {
    // A connection of its own: one that is kept may be closed while it is taken for the next request.
    const asked = request({ ...options, agent: false, method, path }, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => {
        const text = Buffer.concat(pieces).toString();
        if (answer.statusCode === 200) resolve(text);
        else reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** Long: without /dev/kvm, and with other work beside it, the guest is slow. */
async function until(what, look, withinMs = 400_000) {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await Promise.resolve()
      .then(look)
      .catch(() => undefined);
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(250);
  }
}

/** Its uid, its status, and what it waits for. */
async function pod(name) {
  const { pod: object, waits } = JSON.parse(await call('GET', `/v1/pods/default/${name}`));
  return { uid: object.metadata.uid, status: object.status ?? {}, waits };
}
const apply = (objects) => call('POST', '/v1/apply', objects.map((object) => JSON.stringify(object)).join('\n---\n'));
const isReady = (status) => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True');

const podOf = (name, containers, more = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { terminationGracePeriodSeconds: 1, containers, ...more },
});
const busy = "trap 'exit 0' TERM; sleep 1000000 & wait";
const container = (resources, script = busy) => ({ name: 'main', image, command: ['sh', '-c', script], resources });

const pods = [
  podOf('guaranteed', [container({ limits: { cpu: '500m', memory: '64Mi' } })]),
  podOf('burstable', [container({ requests: { cpu: '250m', memory: '32Mi' }, limits: { cpu: '1', memory: '96Mi' } })]),
  podOf('besteffort', [container({})]),
  podOf(
    'hungry',
    [container({ limits: { memory: '24Mi' } }, 'head -c 200000000 /dev/zero | tail -c 190000000 | wc -c')],
    {
      restartPolicy: 'Never',
    },
  ),
  podOf('forking', [container({}, 'i=0; while [ $i -lt 300 ]; do i=$((i+1)); sleep 1000 & done; wait')], {
    restartPolicy: 'Never',
  }),
];

function startAgent() {
  for (const folder of ['kubelet', 'state', 'logs', 'cni']) mkdirSync(join(home, folder), { recursive: true });
  const config = join(home, 'config.yaml');
  const list = {
    cniVersion: '1.0.0',
    name: 'guest',
    plugins: [
      {
        ...{ type: 'bridge', bridge: 'guest0', isGateway: true },
        ipam: { type: 'host-local', dataDir: join(home, 'addresses'), ranges: [[{ subnet: '10.244.1.0/24' }]] },
      },
    ],
  };
  writeFileSync(join(home, 'cni/10-guest.conflist'), JSON.stringify(list));
  const settings = {
    cgroupDriver: driver,
    podPidsLimit: 120,
    readOnlyPort: 10_255,
    evictionHard: { 'memory.available': '50Mi' },
  };
  const kind = { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' };
  writeFileSync(config, JSON.stringify({ ...kind, ...settings }));
  const folders = { 'root-dir': 'kubelet', 'state-dir': 'state', 'pod-logs-dir': 'logs', 'cni-conf-dir': 'cni' };
  const flags = Object.entries(folders).map(([name, folder]) => `--${name}=${join(home, folder)}`);
  const main = ['bin/berth.js', 'agent/cli/main.js'].map((path) => join(dist, path)).find((path) => existsSync(path));
  const agent = spawn(process.execPath, [main, 'agent', `--config=${config}`, ...flags, '--node-name=guest'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, HOME: '/root' },
  });
  let log = '';
  agent.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  return { agent, log: () => log };
}

async function importImage() {
  const { makeBusyboxImage } = await import(join(dist, 'test/setup/busybox-image.js'));
  const path = join(home, 'busybox.tar');
  await makeBusyboxImage({ path, reference: image });
  const answer = await call('POST', '/v1/images/import', readFileSync(path));
  if (answer.includes('"type":"error"')) throw new Error(answer);
}

/** Folder of a pod's cgroup, as the driver names it. */
function podFolder(qos, uid) {
  const tier = qos === 'guaranteed' ? '' : qos;
  if (driver === 'cgroupfs') return join(cgroups, 'kubepods', tier, `pod${uid}`);
  const prefix = tier === '' ? 'kubepods' : `kubepods-${tier}`;
  const slice = `${prefix}-pod${uid.replaceAll('-', '_')}.slice`;
  return join(cgroups, 'kubepods.slice', tier === '' ? '' : `${prefix}.slice`, slice);
}

function containerFolder(folder, id) {
  return driver === 'cgroupfs' ? join(folder, id) : join(folder, `berth-${id}.scope/container`);
}

const value = (folder, file) => readFileSync(join(folder, file), 'utf8').trim();
const idOf = (status) => (status.containerStatuses?.[0]?.containerID ?? '').replace('berth://', '');

/** Linear, as the kubelet counts for its own cgroups; crun's way for containers is the same in 1.8. */
const weightOf = (shares) => String(1 + Math.trunc(((shares - 2) * 9999) / 262_142));

async function checkPod(name, qos, expected) {
  const { uid, status } = await pod(name);
  const folder = podFolder(qos, uid);
  check(`${name}: class`, status.qosClass.toLowerCase(), qos);
  const inner = containerFolder(folder, idOf(status));
  for (const [file, wanted] of Object.entries(expected.pod)) check(`${name}: pod ${file}`, value(folder, file), wanted);
  for (const [file, wanted] of Object.entries(expected.container))
    check(`${name}: container ${file}`, value(inner, file), wanted);
  const processes = value(inner, 'cgroup.procs').split('\n').filter(Boolean);
  checkThat(`${name}: its processes are in it`, processes.length >= 2, processes.length);
}

async function checkLimits() {
  await checkPod('guaranteed', 'guaranteed', {
    pod: {
      'cpu.max': '50000 100000',
      'cpu.weight': weightOf(512),
      'memory.max': String(64 << 20),
      'pids.max': '120',
    },
    container: { 'cpu.max': '50000 100000', 'memory.max': String(64 << 20), 'memory.oom.group': '1' },
  });
  await checkPod('burstable', 'burstable', {
    pod: {
      'cpu.max': '100000 100000',
      'cpu.weight': weightOf(256),
      'memory.max': String(96 << 20),
      'pids.max': '120',
    },
    container: { 'cpu.max': '100000 100000', 'memory.max': String(96 << 20), 'memory.swap.max': '0' },
  });
  await checkPod('besteffort', 'besteffort', {
    pod: { 'cpu.max': 'max 100000', 'cpu.weight': '1', 'memory.max': 'max', 'pids.max': '120' },
    container: { 'cpu.max': 'max 100000', 'memory.max': 'max' },
  });
}

async function checkStats() {
  const read = async () =>
    JSON.parse(await call('GET', '/stats/summary', undefined, { host: '127.0.0.1', port: 10_255 }));
  const found = await until('stats of every pod', async () => {
    const { node, pods: all } = await read();
    const mine = all.find(({ podRef }) => podRef.name === 'guaranteed');
    return mine?.containers?.[0]?.memory?.workingSetBytes > 0 && node.memory.workingSetBytes > 0
      ? { node, mine }
      : undefined;
  });
  const { cpu, memory } = found.mine.containers[0];
  checkThat('stats: CPU time of a container', cpu.usageCoreNanoSeconds > 1e6, cpu.usageCoreNanoSeconds);
  checkThat('stats: memory of a container', memory.workingSetBytes < 64 * 1024 * 1024, memory.workingSetBytes);
  check('stats: memory left to a limit', memory.availableBytes + memory.workingSetBytes, 64 * 1024 * 1024);
  checkThat(
    'stats: processes of a pod',
    found.mine.process_stats?.process_count >= 2,
    found.mine.process_stats?.process_count,
  );
  checkThat(
    'stats: pressure of the node',
    existsSync('/proc/pressure/cpu') === (found.node.cpu.psi !== undefined),
    'psi',
  );
}

async function checkEnds() {
  const ended = await until('the end of the hungry pod', async () => {
    const { status } = await pod('hungry');
    return status.containerStatuses?.[0]?.state?.terminated;
  });
  check('out of memory: reason', ended.reason, 'OOMKilled');
  check('out of memory: exit code', ended.exitCode, 137);
  const forked = await until('the end of the forking pod', async () => {
    const { status } = await pod('forking');
    return status.containerStatuses?.[0]?.state?.terminated;
  });
  // Its shell gives up at the first fork that is refused.
  check('too many processes: exit code', forked.exitCode, 2);
  const said = await call('GET', '/v1/pods/default/forking/log');
  checkThat('too many processes: what it says', /can't fork/.test(said), said.trim());
}

async function checkLimitsChange() {
  const { status } = await pod('burstable');
  const folder = podFolder('burstable', (await pod('burstable')).uid);
  const inner = containerFolder(folder, idOf(status));
  const tier =
    driver === 'cgroupfs'
      ? join(cgroups, 'kubepods/burstable')
      : join(cgroups, 'kubepods.slice/kubepods-burstable.slice');
  await until('the weight of the tier', () => Number(value(tier, 'cpu.weight')) > 1);
  // 250m of the burstable pod and 2 shares of the least for the hungry one, which has ended by now.
  checkThat('burstable tier: cpu.weight', Number(value(tier, 'cpu.weight')) >= 9, value(tier, 'cpu.weight'));
  check('burstable: freezer is there', value(inner, 'cgroup.freeze'), '0');
}

function systemctl(...args) {
  const { status, stdout, stderr } = spawnSync('systemctl', ['--no-pager', '--no-legend', '--plain', ...args]);
  if (status === null || status > 3) throw new Error(`systemctl ${args.join(' ')}: ${String(stderr)}`);
  return stdout.toString().trim();
}

/** systemd knows each slice and scope, and leaves the limits alone when it reads its files anew. */
async function checkUnits() {
  const { uid, status } = await pod('burstable');
  const folder = podFolder('burstable', uid);
  const units = ['kubepods.slice', 'kubepods-burstable.slice', basename(folder), `berth-${idOf(status)}.scope`];
  check('systemd: units', systemctl('is-active', ...units).split('\n'), ['active', 'active', 'active', 'active']);
  check('systemd: slice of the scope', systemctl('show', '--value', '-p', 'Slice', units[3]), units[2]);
  systemctl('daemon-reload');
  // A change of another unit below the same slice makes systemd write what it knows of its neighbours.
  systemctl('set-property', '--runtime', 'kubepods-besteffort.slice', 'CPUWeight=2');
  await checkLimits();
}

const unitsOfPods = () => systemctl('list-units', '--all', 'kubepods*pod*.slice', 'berth-*.scope');

function leftFolders(folder = join(cgroups, driver === 'cgroupfs' ? 'kubepods' : 'kubepods.slice')) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [
      ...(/pod[0-9a-f]{8}/.test(entry.name) ? [entry.name] : []),
      ...leftFolders(join(folder, entry.name)),
    ]);
}

async function main() {
  console.log(
    `GUEST: linux ${readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()}, up ${value('/proc', 'uptime').split(' ')[0]} s`,
  );
  check('no cgroup v1', spawnSync('findmnt', ['-t', 'cgroup', '-n']).stdout.toString(), '');
  const { agent, log } = startAgent();
  try {
    await until('the agent', () => call('GET', '/v1/node'));
    console.log(`GUEST: the agent answers after ${seconds()} s`);
    await importImage();
    await apply(pods);
    for (const name of ['guaranteed', 'burstable', 'besteffort'])
      await until(`${name} to be ready`, async () => isReady((await pod(name)).status));
    console.log(`GUEST: pods are ready after ${seconds()} s`);
    await checkLimits();
    if (driver === 'systemd') await checkUnits();
    await checkStats();
    await checkEnds();
    await checkLimitsChange();
    const before = seconds();
    await call('POST', '/v1/delete?grace=1', pods.map((object) => JSON.stringify(object)).join('\n---\n'));
    await until('all pods to be gone', async () => JSON.parse(await call('GET', '/v1/pods')).items.length === 0);
    console.log(`GUEST: pods are gone after ${(seconds() - before).toFixed(1)} s`);
    check('cgroups of pods that are left', leftFolders(), []);
    if (driver === 'systemd') check('units of pods that are left', unitsOfPods(), '');
  } catch (err) {
    failures.push(String(err));
    for (const { metadata } of pods) {
      const state = await pod(metadata.name).catch(String);
      console.log(`GUEST: ${metadata.name}: ${JSON.stringify(state)}`);
    }
    console.log(`GUEST: ${err.stack}\n${log().slice(-6000)}`);
  } finally {
    agent.kill('SIGTERM');
  }
  console.log(failures.length === 0 ? `GUEST: passed in ${seconds()} s` : `GUEST: failed: ${failures.join('; ')}`);
}

await main();
process.exit(0);
