// Pods on cgroup v2: their limits in the kernel's files, what is counted, how they end, and that nothing is left.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import {
  container,
  containerFolder,
  containerId,
  leftFolders,
  podFolder,
  podOf,
  tierFolder,
  value,
} from '../inside/pods.mjs';

const mebi = 2 ** 20;
const reserved = '/sys/fs/cgroup/machine';

const burstable = (cpu, memory) =>
  podOf('burstable', [container({ requests: { cpu: '250m', memory: '32Mi' }, limits: { cpu, memory } })]);

const objects = [
  { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'runc' }, handler: 'runc' },
  podOf('by-runc', [container({ limits: { cpu: '500m', memory: '64Mi' } })], { runtimeClassName: 'runc' }),
  podOf('guaranteed', [container({ limits: { cpu: '500m', memory: '64Mi' } })]),
  burstable('1', '96Mi'),
  podOf('together', [container({})], {
    resources: { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '400m', memory: '80Mi' } },
  }),
  podOf('besteffort', [container({})]),
  podOf(
    'hungry',
    [container({ limits: { memory: '24Mi' } }, 'head -c 200000000 /dev/zero | tail -c 190000000 | wc -c')],
    { restartPolicy: 'Never' },
  ),
  podOf('forking', [container({}, 'i=0; while [ $i -lt 300 ]; do i=$((i+1)); sleep 1000 & done; wait')], {
    restartPolicy: 'Never',
  }),
];

/** Linear, as the kubelet counts for its own cgroups; crun's way for containers is the same in 1.8. */
const weightOf = (shares) => String(1 + Math.trunc(((shares - 2) * 9999) / 262_142));

const half = {
  pod: { 'cpu.max': '50000 100000', 'cpu.weight': weightOf(512), 'memory.max': String(64 * mebi), 'pids.max': '120' },
  container: { 'cpu.max': '50000 100000', 'memory.max': String(64 * mebi), 'memory.oom.group': '1' },
};

const expectations = {
  guaranteed: { qos: 'Guaranteed', ...half },
  // runc puts processes right into the scope, whose memory.oom.group systemd sets back when it reads its files anew.
  'by-runc': {
    ...{ qos: 'Guaranteed', below: '', pod: half.pod },
    container: { 'cpu.max': '50000 100000', 'memory.max': String(64 * mebi) },
  },
  burstable: {
    qos: 'Burstable',
    pod: {
      'cpu.max': '100000 100000',
      'cpu.weight': weightOf(256),
      'memory.max': String(96 * mebi),
      'pids.max': '120',
    },
    container: { 'cpu.max': '100000 100000', 'memory.max': String(96 * mebi), 'memory.swap.max': '0' },
  },
  // What the pod as a whole may have is what its one container may have.
  together: {
    qos: 'Burstable',
    pod: { 'cpu.max': '40000 100000', 'cpu.weight': weightOf(102), 'memory.max': String(80 * mebi), 'pids.max': '120' },
    container: { 'cpu.max': '40000 100000', 'memory.max': String(80 * mebi) },
  },
  besteffort: {
    qos: 'BestEffort',
    pod: { 'cpu.max': 'max 100000', 'cpu.weight': '1', 'memory.max': 'max', 'pids.max': '120' },
    container: { 'cpu.max': 'max 100000', 'memory.max': 'max' },
  },
};

class Cgroup2 {
  #guest;
  #agent;
  #driver;

  constructor(guest, agent, driver) {
    this.#guest = guest;
    this.#agent = agent;
    this.#driver = driver;
  }

  async limits() {
    for (const [name, expected] of Object.entries(expectations)) {
      const pod = await this.#agent.pod(name);
      const folder = podFolder(this.#driver, pod);
      const inner = containerFolder(this.#driver, pod, expected);
      this.#guest.check(`${name}: class`, pod.status.qosClass, expected.qos);
      for (const [file, wanted] of Object.entries(expected.pod))
        this.#guest.check(`${name}: pod ${file}`, value(folder, file), wanted);
      for (const [file, wanted] of Object.entries(expected.container))
        this.#guest.check(`${name}: container ${file}`, value(inner, file), wanted);
      const processes = value(inner, 'cgroup.procs').split('\n').filter(Boolean).length;
      this.#guest.checkThat(`${name}: its processes are in it`, processes >= 2, processes);
    }
  }

  /** All pods together, and the cgroup of the machine's own services where one is named. */
  shared() {
    const pods = tierFolder(this.#driver, '');
    const memory = Number(/^MemTotal:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))[1]) * 1024;
    this.#guest.check('all pods: memory.max', value(pods, 'memory.max'), String(memory - 100 * mebi));
    this.#guest.check('all pods: cpu.weight', value(pods, 'cpu.weight'), weightOf(1792));
    if (this.#driver === 'systemd') return;
    this.#guest.check('the machine: memory.max', value(reserved, 'memory.max'), String(100 * mebi));
    this.#guest.check('the machine: cpu.weight', value(reserved, 'cpu.weight'), weightOf(256));
  }

  /** In place, up and down; neither the runtime nor systemd puts the old limits back. */
  async resize() {
    const before = await this.#agent.pod('burstable');
    const folders = [podFolder(this.#driver, before), containerFolder(this.#driver, before)];
    for (const [cpu, mib] of [
      [1500, 112],
      [800, 80],
    ]) {
      await this.#agent.apply(burstable(`${cpu}m`, `${mib}Mi`));
      const { status } = await this.#agent.untilPod('burstable', `has ${cpu}m`, ({ conditions, containerStatuses }) => {
        const pending = conditions.some(({ type }) => type.startsWith('PodResize'));
        return !pending && containerStatuses[0].resources?.limits?.memory === `${mib}Mi`;
      });
      this.#guest.check('resize: no restart', status.containerStatuses[0].restartCount, 0);
      if (this.#driver === 'systemd') this.#systemctl('daemon-reload');
      for (const folder of folders) {
        this.#guest.check('resize: cpu.max', value(folder, 'cpu.max'), `${cpu * 100} 100000`);
        this.#guest.check('resize: memory.max', value(folder, 'memory.max'), String(mib * mebi));
      }
    }
  }

  async stats() {
    const { node, mine } = await this.#guest.until('stats of every pod', async () => {
      const { node, pods: all } = await this.#agent.stats();
      const mine = all.find(({ podRef }) => podRef.name === 'guaranteed');
      const counted = mine?.containers?.[0]?.memory?.workingSetBytes > 0 && node.memory.workingSetBytes > 0;
      return counted ? { node, mine } : undefined;
    });
    const { cpu, memory } = mine.containers[0];
    const processes = mine.process_stats?.process_count;
    const said = node.cpu.psi !== undefined;
    this.#guest.checkThat('stats: CPU time of a container', cpu.usageCoreNanoSeconds > 1e6, cpu.usageCoreNanoSeconds);
    this.#guest.checkThat('stats: memory of a container', memory.workingSetBytes < 64 * mebi, memory.workingSetBytes);
    this.#guest.check('stats: memory left to a limit', memory.availableBytes + memory.workingSetBytes, 64 * mebi);
    this.#guest.checkThat('stats: processes of a pod', processes >= 2, processes);
    this.#guest.checkThat('stats: pressure of the node', existsSync('/proc/pressure/cpu') === said, 'psi');
  }

  async ends() {
    const ended = (name) =>
      this.#guest.until(`the end of ${name}`, async () => {
        const { status } = await this.#agent.pod(name);
        return status.containerStatuses?.[0]?.state?.terminated;
      });
    const hungry = await ended('hungry');
    this.#guest.check('out of memory: reason', hungry.reason, 'OOMKilled');
    this.#guest.check('out of memory: exit code', hungry.exitCode, 137);
    // Its shell gives up at the first fork that is refused.
    this.#guest.check('too many processes: exit code', (await ended('forking')).exitCode, 2);
    const said = await this.#agent.logOf('forking');
    this.#guest.checkThat('too many processes: what it says', /can't fork/.test(said), said.trim());
  }

  async tier() {
    const inner = containerFolder(this.#driver, await this.#agent.pod('burstable'));
    const weight = () => Number(value(tierFolder(this.#driver, 'burstable'), 'cpu.weight'));
    await this.#guest.until('the weight of the tier', () => weight() > 1);
    // 250m of the burstable pod and 2 shares of the least for the hungry one, which has ended by now.
    this.#guest.checkThat('burstable tier: cpu.weight', weight() >= 9, weight());
    this.#guest.check('burstable: freezer is there', value(inner, 'cgroup.freeze'), '0');
  }

  /** systemd knows each slice and scope, and leaves the limits alone when it reads its files anew. */
  async units() {
    const pod = await this.#agent.pod('burstable');
    const slice = basename(podFolder(this.#driver, pod));
    const scope = `berth-${containerId(pod)}.scope`;
    const active = this.#systemctl('is-active', 'kubepods.slice', 'kubepods-burstable.slice', slice, scope);
    this.#guest.check('systemd: units', active.split('\n'), ['active', 'active', 'active', 'active']);
    this.#guest.check('systemd: slice of the scope', this.#systemctl('show', '--value', '-p', 'Slice', scope), slice);
    this.#systemctl('daemon-reload');
    // A change of another unit below the same slice makes systemd write what it knows of its neighbours.
    this.#systemctl('set-property', '--runtime', 'kubepods-besteffort.slice', 'CPUWeight=2');
    await this.limits();
  }

  leftUnits() {
    this.#guest.check(
      'units of pods that are left',
      this.#systemctl('list-units', '--all', 'kubepods*pod*.slice', 'berth-*.scope'),
      '',
    );
  }

  #systemctl(...args) {
    return this.#guest.run('systemctl', '--no-pager', '--no-legend', '--plain', ...args);
  }
}

export async function checkCgroup2(guest, driver) {
  mkdirSync(reserved);
  const agent = await guest.startAgent({
    driver,
    kubelet: {
      podPidsLimit: 120,
      evictionHard: { 'memory.available': '50Mi' },
      systemReserved: { cpu: '250m', memory: '100Mi' },
      ...(driver === 'cgroupfs' && {
        enforceNodeAllocatable: ['pods', 'system-reserved'],
        systemReservedCgroup: '/machine',
      }),
    },
  });
  const checks = new Cgroup2(guest, agent, driver);
  await agent.apply(...objects);
  for (const name of Object.keys(expectations)) await agent.untilReady(name);
  guest.note('pods are ready');
  await checks.limits();
  if (driver === 'systemd') await checks.units();
  checks.shared();
  await checks.stats();
  await checks.ends();
  await checks.tier();
  await checks.resize();
  await agent.removeAll();
  guest.note('pods are gone');
  guest.check('cgroups of pods that are left', leftFolders(driver), []);
  if (driver === 'systemd') checks.leftUnits();
}
