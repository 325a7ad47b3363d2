// Two NUMA nodes, swap and huge pages of two sizes: what the CPU, memory and topology managers grant is what the kernel holds containers to.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { container, containerFolder, containerId, podOf, value } from '../inside/pods.mjs';

const mebi = 2 ** 20;
const gibi = 2 ** 30;
/** Together less than 3.5 GiB, above which qemu moves a part of it. */
const [near, far] = [1280, 2240];

/** CPUs 0 and 1 on node 0, 2 and 3 on node 1; a PCI bus on node 1 with a disk. The page of 1Gi has a place where nothing else is put. */
export const machine = {
  cpus: 4,
  memoryMib: near + far,
  kernelArgs: ['nokaslr', 'hugepagesz=1G', 'hugepages=1:1'],
  qemuArgs: [
    ...['-smp', '4,sockets=2,cores=2,threads=1'],
    ...['-object', `memory-backend-ram,id=near,size=${near}M`, '-object', `memory-backend-ram,id=far,size=${far}M`],
    ...['-numa', 'node,nodeid=0,cpus=0-1,memdev=near', '-numa', 'node,nodeid=1,cpus=2-3,memdev=far'],
    ...['-device', 'pxb,id=bus1,bus=pci.0,bus_nr=128,numa_node=1'],
  ],
  disks: { swap: { mib: 2048 }, data: { mib: 64, bus: 'bus1' } },
};

const plugged = 'example.com/numa';
const pooled = 'example.com/disk';

const kubelet = {
  cpuManagerPolicy: 'static',
  reservedSystemCPUs: '0',
  memoryManagerPolicy: 'Static',
  systemReserved: { memory: '412Mi' },
  evictionHard: { 'memory.available': '100Mi' },
  reservedMemory: [0, 1].map((numaNode) => ({ numaNode, limits: { memory: '256Mi' } })),
  failSwapOn: false,
};

/** A Guaranteed pod. */
const own = (name, cpu, memory, more = {}) =>
  podOf(name, [container({ limits: { cpu: String(cpu), memory: `${memory}Mi`, ...more } })]);

/** More than either node has, less than both. */
const ofBothNodes = 1200;

/** What was read and cannot be written stays in memory: more than the limit of the pods that do so. */
const filling = 'dd if=/dev/zero bs=100M count=1 | sleep 1000000';

class Numa {
  #guest;
  #agent;
  #dist = process.env.BERTH_DIST;

  constructor(guest, agent) {
    this.#guest = guest;
    this.#agent = agent;
  }

  /** On these CPUs and memory, in the cgroup and in what the kernel says of the process in it. */
  async place(name, cpus, mems) {
    const pod = await this.#agent.untilReady(name);
    const folder = containerFolder('cgroupfs', pod);
    this.#guest.check(`${name}: cpuset.cpus`, value(folder, 'cpuset.cpus'), cpus);
    this.#guest.check(`${name}: memory nodes`, value(folder, 'cpuset.mems.effective'), mems);
    const [pid] = value(folder, 'cgroup.procs').split('\n');
    const said = readFileSync(`/proc/${pid}/status`, 'utf8');
    const of = (field) => new RegExp(`^${field}:\\s+(\\S+)$`, 'm').exec(said)?.[1];
    const allowed = [of('Cpus_allowed_list'), of('Mems_allowed_list')];
    this.#guest.check(`${name}: where its process may be`, allowed, [cpus, mems]);
    return { pod, folder };
  }

  async refused(name) {
    const isJudged = ({ phase }) => phase === 'Failed' || phase === 'Running';
    const { status } = await this.#agent.untilPod(name, 'is judged', isJudged);
    this.#guest.check(
      `${name}: refused`,
      [status.reason, status.message],
      ['TopologyAffinityError', 'Pod was rejected: Resources cannot be allocated with Topology locality'],
    );
  }

  /** An answer of the pod resources API. */
  async resources(method, request = {}) {
    const { UnixClient } = await import(join(this.#dist, 'proto/wire/index.js'));
    const socketPath = join(this.#agent.rootDir, 'pod-resources/kubelet.sock');
    const client = new UnixClient({ socketPath, proto: 'podresources-v1', service: 'v1.PodResourcesLister' });
    try {
      return await client.call(method, request, 60_000, AbortSignal.timeout(60_000));
    } finally {
      client[Symbol.dispose]();
    }
  }

  async ofPod(podName) {
    const { podResources } = await this.resources('get', { podName, podNamespace: 'default' });
    const [{ cpuIds = [], memory = [], devices = [] }] = podResources.containers;
    const nodesOf = ({ topology }) => (topology?.nodes ?? []).map(({ ID = 0 }) => ID);
    return {
      cpus: cpuIds.map(Number),
      memory: memory.map((block) => [block.memoryType, Number(block.size), nodesOf(block).join()]),
      devices: devices.map((each) => [each.resourceName, ...each.deviceIds, nodesOf(each).join()]),
    };
  }

  async servePlugin() {
    const { ServedDevicePlugin } = await import(join(this.#dist, 'deviceplugin/index.js'));
    const devices = [0, 1].map((node) => ({ id: `on-${node}`, healthy: true, numaNodes: [node] }));
    const none = { devices: [], mounts: [], annotations: {}, cdiDevices: [] };
    const allocate = (ids) => ({ ...none, envs: { GIVEN: ids.join() } });
    const folder = join(this.#agent.rootDir, 'device-plugins');
    const plugin = await ServedDevicePlugin.serve({ resource: plugged, folder }, { allocate }, devices);
    await this.#guest.until('the devices of the plugin', async () => {
      const { devices: told } = await this.resources('getAllocatableResources');
      return told.filter(({ resourceName }) => resourceName === plugged).length === devices.length;
    });
    return plugin;
  }

  async swap() {
    const total = (field) =>
      Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync('/proc/meminfo', 'utf8'))[1]) * 1024;
    // The kernel keeps whole pages.
    const share = (request) => Math.floor(((request / total('MemTotal')) * total('SwapTotal')) / 4096) * 4096;
    const limit = async (name) => value(containerFolder('cgroupfs', await this.#agent.pod(name)), 'memory.swap.max');
    for (const [name, wanted] of [
      ['shared', share(64 * mebi)],
      ['swapping', share(64 * mebi)],
      ['one', 0],
      ['best', 0],
    ])
      this.#guest.check(`${name}: memory.swap.max`, Number(await limit(name)), wanted);
  }

  /** What fits with swap alone stays, and is counted as swapped. */
  async swapped() {
    const full = await this.#guest.until('100Mi to be written', async () => {
      const { pods } = await this.#agent.stats();
      const { swap } = pods.find(({ podRef }) => podRef.name === 'swapping').containers[0];
      return swap.swapUsageBytes >= 15 * mebi ? swap : undefined;
    });
    this.#guest.checkThat('swapping: counted in the stats', full.swapAvailableBytes >= 0, full.swapUsageBytes);
    const { status } = await this.#agent.pod('swapping');
    this.#guest.check('swapping: lives', status.containerStatuses[0].restartCount, 0);
    const { status: strict } = await this.#agent.untilPod('strict', 'has ended', ({ phase }) => phase === 'Failed');
    this.#guest.check('strict: no swap', strict.containerStatuses[0].state.terminated.reason, 'OOMKilled');
  }

  async hugepages() {
    const { folder } = await this.place('huge', '3', '1');
    this.#guest.check('huge: hugetlb.1GB.max', value(folder, 'hugetlb.1GB.max'), String(gibi));
    this.#guest.check('huge: hugetlb.2MB.max', value(folder, 'hugetlb.2MB.max'), String(16 * mebi));
    const said = await this.#guest.until('the mounts of huge', () => this.#agent.logOf('huge'));
    const sizes = [...said.matchAll(/ on \/pages\/(\w+) type hugetlbfs .*pagesize=(\w+)/g)].map(
      ([, at, size]) => `${at} ${size}`,
    );
    this.#guest.check('huge: its volumes', sizes.sort(), ['large 1024M', 'small 2M']);
    const blocks = (await this.ofPod('huge')).memory.sort();
    this.#guest.check('huge: told of', blocks, [
      ['hugepages-1Gi', gibi, '1'],
      ['hugepages-2Mi', 16 * mebi, '1'],
      ['memory', 64 * mebi, '1'],
    ]);
  }

  state(name) {
    return JSON.parse(readFileSync(join(this.#agent.rootDir, name), 'utf8'));
  }
}

const burstable = (name, script) =>
  podOf(name, [container({ requests: { memory: '64Mi' }, limits: { memory: '80Mi' } }, script)]);

/** Reads the device it was given, and tries one that it makes a node of. */
function diskPod(guest) {
  const first = (path) => `head -c 512 ${path} > /dev/null 2>&1`;
  const numbers = readFileSync(`/sys/class/block/${basename(guest.disk('swap'))}/dev`, 'utf8')
    .trim()
    .replace(':', ' ');
  const script = [
    `${first(guest.disk('data'))} && echo read || echo not read`,
    `mknod /other b ${numbers} && ! ${first('/other')} && echo refused || echo not refused`,
    'exec sleep 1000000',
  ];
  return podOf('disk', [container({ limits: { cpu: '1', memory: '64Mi', [pooled]: '1' } }, script.join('\n'))]);
}

const hugePod = podOf(
  'huge',
  [
    container(
      { limits: { cpu: '1', memory: '64Mi', 'hugepages-1Gi': '1Gi', 'hugepages-2Mi': '16Mi' } },
      'mount | grep hugetlbfs; exec sleep 1000000',
      { volumeMounts: ['large', 'small'].map((name) => ({ name, mountPath: `/pages/${name}` })) },
    ),
  ],
  {
    volumes: [
      { name: 'large', emptyDir: { medium: 'HugePages-1Gi' } },
      { name: 'small', emptyDir: { medium: 'HugePages-2Mi' } },
    ],
  },
);

/** Policy single-numa-node, LimitedSwap. */
async function checkSingleNode(guest, agentOptions) {
  let agent = await guest.startAgent(agentOptions);
  let numa = new Numa(guest, agent);
  const plugin = await numa.servePlugin();

  await agent.apply(burstable('shared'), podOf('best', [container({})]));
  await numa.place('shared', '0-3', '0-1');
  await agent.apply(own('wide', 3, ofBothNodes), own('large', 1, ofBothNodes));
  await numa.refused('wide');
  await numa.refused('large');

  await agent.apply(own('two-devices', 1, 64, { [plugged]: '2' }));
  await numa.refused('two-devices');
  await agent.apply(diskPod(guest));
  const { folder } = await numa.place('disk', '2', '1');
  guest.check('disk: nothing holds it back on CPUs of its own', value(folder, 'cpu.max'), 'max 100000');
  guest.check('disk: told of', await numa.ofPod('disk'), {
    cpus: [2],
    memory: [['memory', 64 * mebi, '1']],
    devices: [[pooled, guest.disk('data'), '1']],
  });
  const said = await guest.until('what disk says', async () => /read[^]*refused/.exec(await agent.logOf('disk'))?.[0]);
  guest.check('disk: its device and no other', said.split('\n'), ['read', 'refused']);
  await agent.apply(own('one', 1, 64, { [plugged]: '1' }));
  await numa.place('one', '1', '0');
  guest.check('one: told of', await numa.ofPod('one'), {
    cpus: [1],
    memory: [['memory', 64 * mebi, '0']],
    devices: [[plugged, 'on-0', '0']],
  });
  await agent.apply(hugePod);
  await numa.hugepages();
  await guest.until(
    'the shared CPUs without those',
    async () => value(containerFolder('cgroupfs', await agent.pod('shared')), 'cpuset.cpus') === '0',
  );
  await numa.place('shared', '0', '0-1');

  const strict = [container({ limits: { memory: '80Mi' } }, filling)];
  await agent.apply(burstable('swapping', filling), podOf('strict', strict, { restartPolicy: 'Never' }));
  await agent.untilReady('swapping');
  await numa.swap();
  await numa.swapped();

  const { cpuIds, memory, devices } = await numa.resources('getAllocatableResources');
  guest.check('allocatable CPUs', cpuIds.map(Number).sort(), [1, 2, 3]);
  guest.check(
    'allocatable huge pages',
    memory.filter(({ memoryType }) => memoryType === 'hugepages-1Gi').map(({ size }) => Number(size)),
    // A node that has none is not told of.
    [gibi],
  );
  guest.check(
    'allocatable devices',
    new Set(devices.flatMap(({ deviceIds }) => deviceIds)),
    new Set([guest.disk('data'), 'on-0', 'on-1']),
  );
  guest.check('the CPU manager: shared', numa.state('cpu_manager_state').defaultCpuSet, '0');
  const { reserved, total } = numa.state('memory_manager_state').machineState['1'].memoryMap.memory;
  guest.check('the memory manager: node 1', reserved, 128 * mebi);
  guest.checkThat('the memory manager: node 1 with its huge pages', total > gibi + 64 * mebi, total);

  const ids = async () =>
    await Promise.all(['disk', 'one', 'huge', 'shared'].map(async (name) => containerId(await agent.pod(name))));
  const before = await ids();
  await agent.stop();
  agent = await guest.startAgent(agentOptions);
  numa = new Numa(guest, agent);
  for (const [name, cpus, mems] of [
    ['disk', '2', '1'],
    ['one', '1', '0'],
    ['huge', '3', '1'],
    ['shared', '0', '0-1'],
  ])
    await numa.place(name, cpus, mems);
  guest.check('after another start the containers are the same', await ids(), before);
  await agent.call('POST', '/v1/delete?grace=1', JSON.stringify(hugePod));
  await guest.until(
    'the CPU of huge to be shared',
    async () => value(containerFolder('cgroupfs', await agent.pod('shared')), 'cpuset.cpus') === '0,3',
  );
  await agent.removeAll();
  await agent.stop();
  await plugin[Symbol.asyncDispose]();
}

/** Policy restricted, NoSwap: two nodes for what needs two, and for nothing else. */
async function checkRestricted(guest) {
  const agent = await guest.startAgent({
    home: 'restricted',
    kubelet: { ...kubelet, topologyManagerPolicy: 'restricted' },
  });
  const numa = new Numa(guest, agent);
  // Its CPU is of one node, its memory of two.
  await agent.apply(own('large', 1, ofBothNodes));
  await numa.refused('large');
  await agent.apply(burstable('shared'), own('wide', 3, ofBothNodes));
  const { folder } = await numa.place('wide', '1-3', '0-1');
  guest.check('wide: memory.swap.max', value(folder, 'memory.swap.max'), '0');
  const shared = await agent.untilReady('shared');
  guest.check('shared: memory.swap.max', value(containerFolder('cgroupfs', shared), 'memory.swap.max'), '0');
  guest.check('wide: told of', await numa.ofPod('wide'), {
    cpus: [1, 2, 3],
    memory: [['memory', ofBothNodes * mebi, '0,1']],
    devices: [],
  });
  await agent.removeAll();
  await agent.stop();
}

export async function check(guest) {
  const swap = guest.disk('swap');
  guest.run('mkswap', swap);
  guest.run('swapon', swap);
  const pages = (node, kib) => `/sys/devices/system/node/node${node}/hugepages/hugepages-${kib}kB/nr_hugepages`;
  for (const node of [0, 1]) writeFileSync(pages(node, 2048), '32');
  for (const [node, kib, count] of [
    [0, 2048, 32],
    [1, 2048, 32],
    [1, 1_048_576, 1],
  ])
    guest.check(`pages of ${kib} KiB on node ${node}`, Number(readFileSync(pages(node, kib), 'utf8')), count);
  await checkSingleNode(guest, {
    kubelet: { ...kubelet, topologyManagerPolicy: 'single-numa-node', memorySwap: { swapBehavior: 'LimitedSwap' } },
    berth: { devicePools: [{ resource: pooled, paths: [guest.disk('data')] }] },
  });
  await checkRestricted(guest);
}
