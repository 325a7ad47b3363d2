// Four NUMA nodes, two of them near each other: which of them a pod gets that needs two, and what a pod is that is placed as a whole.
import { readFileSync } from 'node:fs';
import { container, containerFolder, podOf, value } from '../inside/pods.mjs';

const nodes = [0, 1, 2, 3];
const memoryOfNode = 640;
/** Nodes 1 and 3 are near, all others far from each other. */
const distance = (a, b) => (Math.min(a, b) === 1 && Math.max(a, b) === 3 ? 12 : 40);

/** CPUs 0 and 1 on node 0, 2 and 3 on node 1, and so on; CPU 0 is kept for the machine. */
export const machine = {
  cpus: 8,
  memoryMib: nodes.length * memoryOfNode,
  qemuArgs: [
    ...['-smp', '8,sockets=4,cores=2,threads=1'],
    ...nodes.flatMap((node) => [
      ...['-object', `memory-backend-ram,id=ram${node},size=${memoryOfNode}M`],
      ...['-numa', `node,nodeid=${node},cpus=${2 * node}-${2 * node + 1},memdev=ram${node}`],
    ]),
    ...nodes.flatMap((a) =>
      nodes.filter((b) => b > a).flatMap((b) => ['-numa', `dist,src=${a},dst=${b},val=${distance(a, b)}`]),
    ),
  ],
};

const kubelet = { cpuManagerPolicy: 'static', reservedSystemCPUs: '0', evictionHard: {} };

const withCpus = (count, name = 'main') => ({
  ...container({ limits: { cpu: String(count), memory: '32Mi' } }),
  name,
});

class Placed {
  #guest;
  #agent;

  constructor(guest, agent) {
    this.#guest = guest;
    this.#agent = agent;
  }

  /** The CPUs of each container, in the cgroup and as the kernel holds its process to them. */
  async cpusOf(name) {
    const pod = await this.#agent.untilReady(name);
    return pod.status.containerStatuses
      .map((each) => each.name)
      .sort()
      .map((each) => {
        const folder = containerFolder('cgroupfs', pod, { name: each });
        const cpus = value(folder, 'cpuset.cpus');
        const [pid] = value(folder, 'cgroup.procs').split('\n');
        const allowed = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
        this.#guest.check(`${name} ${each}: where its process may be`, allowed, cpus);
        return cpus;
      });
  }

  async check(what, pod, expected) {
    await this.#agent.apply(pod);
    this.#guest.check(what, await this.cpusOf(pod.metadata.name), expected);
  }

  async refused(what, pod) {
    await this.#agent.apply(pod);
    const isJudged = ({ phase }) => phase === 'Failed' || phase === 'Running';
    const { status } = await this.#agent.untilPod(pod.metadata.name, 'is judged', isJudged);
    this.#guest.check(what, [status.phase, status.reason], ['Failed', 'TopologyAffinityError']);
  }
}

export async function check(guest) {
  const told = nodes.map((node) => value(`/sys/devices/system/node/node${node}`, 'distance'));
  guest.check('distances', told, ['10 40 40 40', '40 10 40 12', '40 40 10 40', '40 12 40 10']);
  const withAgent = async (home, keys, work) => {
    const agent = await guest.startAgent({ home, kubelet: { ...kubelet, ...keys } });
    await work(new Placed(guest, agent));
    await agent.removeAll();
    await agent.stop();
  };

  // Two nodes are needed. Without a word the first of the narrowest are taken, however far from each other.
  const wide = podOf('wide', [withCpus(4)]);
  const restricted = { topologyManagerPolicy: 'restricted' };
  await withAgent('first', restricted, (placed) => placed.check('the first two nodes', wide, ['2-5']));
  const topologyManagerPolicyOptions = { 'prefer-closest-numa-nodes': 'true' };
  await withAgent('closest', { ...restricted, topologyManagerPolicyOptions }, (placed) =>
    placed.check('the two closest nodes', wide, ['2-3,6-7']),
  );

  const single = { topologyManagerPolicy: 'single-numa-node' };
  const pair = podOf('pair', [withCpus(1, 'a'), withCpus(1, 'b')]);
  const triple = podOf('triple', [withCpus(1, 'a'), withCpus(1, 'b'), withCpus(1, 'c')]);
  await withAgent('by-container', single, async (placed) => {
    await placed.check('each container on some node', pair, ['1', '2']);
    await placed.check('three of them too', triple, ['3', '4', '5']);
  });
  await withAgent('by-pod', { ...single, topologyManagerScope: 'pod' }, async (placed) => {
    await placed.check('all containers of a pod on one node', pair, ['2', '3']);
    await placed.refused('more than any node has', triple);
  });
}
