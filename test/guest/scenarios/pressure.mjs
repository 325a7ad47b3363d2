// A machine that runs out: the kernel's own words about kills, and what the agent does before it comes to that.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { container, podFolder, podOf, value } from '../inside/pods.mjs';

const mebi = 2 ** 20;

export const machine = { modules: ['ext4'], disks: { kubelet: { mib: 256 } } };

/** What was read and cannot be written stays in memory. */
const holding = (mib) => `dd if=/dev/zero bs=${mib}M count=1 | sleep 1000000`;

const quiet = podOf('quiet', [container({ requests: { memory: '64Mi' } })]);

const messagesOf = async (agent, wanted) =>
  (await agent.events()).filter(({ reason }) => reason === wanted).map(({ message }) => message);

/**
 * The kernel ends the process of the machine that is most in its way, as it does when there is no memory left, and the agent tells of it. It is
 * asked to: a machine that is emulated takes minutes to run out, with all that runs read from the host again and again.
 */
async function endOneOfTheMachine(guest, agent) {
  const victim = spawn('choom', ['-n', '1000', '--', 'sleep', '1000000'], { stdio: 'ignore' });
  await guest.until('the victim', () => readFileSync(`/proc/${victim.pid}/comm`, 'utf8').trim() === 'sleep');
  writeFileSync('/proc/sysrq-trigger', 'f');
  const [, signal] = await once(victim, 'exit');
  guest.check('a process of the machine', signal, 'SIGKILL');
  const message = `System OOM encountered, victim process: sleep, pid: ${victim.pid}`;
  await guest.until(message, async () => (await messagesOf(agent, 'SystemOOM')).includes(message));
  return message;
}

/** A process of the machine and a container of a pod, killed by the kernel. Resolves with the bytes the machine has left then. */
async function checkKills(guest) {
  const agent = await guest.startAgent({ home: 'kills', kubelet: { evictionHard: {} } });
  await agent.apply(quiet);
  await agent.untilReady('quiet');
  const first = await endOneOfTheMachine(guest, agent);
  // All its processes go at once, of which the kernel tells once: no reason to tell of the one before again.
  await agent.apply(
    podOf('hungry', [container({ limits: { memory: '48Mi' } }, holding(100))], { restartPolicy: 'Never' }),
  );
  const { status } = await agent.untilPod('hungry', 'has ended', ({ phase }) => phase === 'Failed');
  guest.check('a container over its limit', status.containerStatuses[0].state.terminated.reason, 'OOMKilled');
  const second = await endOneOfTheMachine(guest, agent);
  const told = (await agent.events()).filter(({ reason }) => reason === 'SystemOOM');
  guest.check(
    'SystemOOM, of the processes of the machine alone',
    told.map(({ message, count = 1 }) => [message, count]),
    [first, second].map((message) => [message, 1]),
  );
  await checkSurvivors(guest, agent);
  await agent.removeAll();
  const { node } = await agent.stats();
  await agent.stop();
  return node.memory.availableBytes;
}

/** Nobody else was hurt: the agent is the same, and so is the pod that did nothing. */
async function checkSurvivors(guest, agent) {
  const { status } = await agent.pod('quiet');
  const { restartCount, ready } = status.containerStatuses[0];
  guest.check('the quiet pod', [status.phase, ready, restartCount], ['Running', true, 0]);
  guest.checkThat('the agent', readFileSync(`/proc/${agent.pid}/comm`, 'utf8') !== '', agent.pid);
}

async function evicted(guest, agent, name) {
  const { status } = await agent.untilPod(name, 'is evicted', ({ reason }) => reason === 'Evicted');
  await guest.until(`the end of ${name}`, async () => {
    const { containerStatuses = [] } = (await agent.pod(name)).status;
    return containerStatuses[0]?.state?.terminated;
  });
  guest.note(`${name}: ${status.message}`);
  guest.check(
    `${name}: disrupted`,
    status.conditions.find(({ type }) => type === 'DisruptionTarget')?.reason,
    'TerminationByKubelet',
  );
  await checkSurvivors(guest, agent);
  return status.message;
}

/** What becomes of a new pod that asks for nothing. */
async function judged(agent, name) {
  await agent.apply(podOf(name, [container({})]));
  const isJudged = ({ phase }) => phase === 'Failed' || phase === 'Running';
  const { status } = await agent.untilPod(name, 'is judged', isJudged);
  return [status.phase, status.reason, status.message];
}

/** Until the node is out of its need. */
async function untilRelieved(guest, agent, what) {
  let tries = 0;
  await guest.until(`no ${what}`, async () => (await judged(agent, `after-${what}-${tries++}`))[0] === 'Running');
  guest.note(`no ${what} any more`);
}

/** Threads the machine may still have. */
function threadsLeft() {
  const read = (path) => Number(readFileSync(path, 'utf8'));
  const threads = Number(/^\S+ \S+ \S+ \d+\/(\d+)/.exec(readFileSync('/proc/loadavg', 'utf8'))[1]);
  return Math.min(read('/proc/sys/kernel/pid_max'), read('/proc/sys/kernel/threads-max')) - threads;
}

export async function check(guest) {
  const available = await checkKills(guest);
  const disk = guest.disk('kubelet');
  guest.run('mkfs.ext4', '-q', disk);
  mkdirSync('/berth-guest/pressure/kubelet', { recursive: true });
  guest.run('mount', disk, '/berth-guest/pressure/kubelet');
  const bomb = 400;
  const agent = await guest.startAgent({
    home: 'pressure',
    kubelet: {
      podPidsLimit: bomb,
      volumeStatsAggPeriod: '5s',
      evictionPressureTransitionPeriod: '60s',
      evictionHard: {
        // Between what one pod takes below and what two take.
        'memory.available': `${Math.floor(available / mebi) - 450}Mi`,
        'pid.available': String(threadsLeft() - bomb / 2),
        'nodefs.available': '100Mi',
      },
    },
  });
  await agent.apply(quiet);
  await agent.untilReady('quiet');

  // It has asked for what it has; the other has not.
  await agent.apply(podOf('entitled', [container({ requests: { memory: '300Mi' } }, holding(100))]));
  await agent.untilReady('entitled');
  await agent.apply(podOf('hog', [container({}, holding(700))]));
  await agent.untilPod('hog', 'is evicted', ({ reason }) => reason === 'Evicted');
  guest.check('what asks for nothing is not taken meanwhile', await judged(agent, 'late'), [
    ...['Failed', 'Evicted', 'Pod was rejected: The node had condition: [MemoryPressure]. '],
  ]);
  guest.checkThat(
    'hog: in the words of the kubelet',
    /^The node was low on resource: memory\. Threshold quantity: \d+Mi, available: \d+Ki\. Container main was using \d+Ki, request is 0, has larger consumption of memory\. $/.test(
      await evicted(guest, agent, 'hog'),
    ),
    'memory',
  );
  guest.check('entitled: stays', (await agent.pod('entitled')).status.phase, 'Running');
  await untilRelieved(guest, agent, 'memory');

  await agent.apply(
    podOf('bomb', [
      container({ requests: { cpu: '1m' } }, '( while :; do sleep 1000000 & done ) 2>/dev/null; exec sleep 1000000'),
    ]),
  );
  guest.checkThat(
    'bomb: bounded by the limit of its pod',
    (await guest.until('the cgroup of bomb', async () =>
      value(podFolder('cgroupfs', await agent.pod('bomb')), 'pids.max'),
    )) === String(bomb),
    bomb,
  );
  const bombed = await evicted(guest, agent, 'bomb');
  guest.checkThat('bomb: pids', bombed.startsWith('The node was low on resource: pids. '), bombed);
  await untilRelieved(guest, agent, 'pids');

  await agent.apply(
    podOf(
      'filler',
      [
        container({ requests: { cpu: '1m' } }, 'dd if=/dev/zero of=/data/x bs=1M count=120; sleep 1000000', {
          volumeMounts: [{ name: 'data', mountPath: '/data' }],
        }),
      ],
      { volumes: [{ name: 'data', emptyDir: {} }] },
    ),
  );
  const filled = await evicted(guest, agent, 'filler');
  const words = 'The node was low on resource: ephemeral-storage. Threshold quantity: 100Mi, ';
  guest.checkThat('filler: disk', filled.startsWith(words), filled);
  await untilRelieved(guest, agent, 'disk');
  for (const resource of ['memory', 'pids', 'ephemeral-storage'])
    guest.checkThat(
      'threshold told',
      (await messagesOf(agent, 'EvictionThresholdMet')).includes(`Attempting to reclaim ${resource}`),
      resource,
    );
  await agent.removeAll();
  await agent.stop();
}
