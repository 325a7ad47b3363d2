// A soft threshold: what is over before its grace costs no pod, what stays costs one, and that one has the time to end that it was promised.
import { mkdirSync, writeFileSync } from 'node:fs';
import { container, podOf } from '../inside/pods.mjs';

const home = '/berth-guest/soft';
const graceSeconds = 60;
const maxPodGraceSeconds = 5;

export const machine = { modules: ['ext4'], disks: { kubelet: { mib: 256 } } };

const pressure = async (agent) =>
  (await agent.node()).conditions.find(({ type, status }) => type === 'DiskPressure' && status);
const taking = 'dd if=/dev/zero of=/data/x bs=1M count=120';
const seconds = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;

function diskPod(name, script, more = {}) {
  const mounts = [
    { name: 'data', mountPath: '/data' },
    { name: 'signals', mountPath: '/signals' },
  ];
  const volumes = [
    { name: 'data', emptyDir: {} },
    { name: 'signals', hostPath: { path: `${home}/signals` } },
  ];
  return podOf(name, [container({ requests: { cpu: '1m' } }, script, { volumeMounts: mounts })], { volumes, ...more });
}

export async function check(guest) {
  const disk = guest.disk('kubelet');
  guest.run('mkfs.ext4', '-q', disk);
  for (const name of ['kubelet', 'signals']) mkdirSync(`${home}/${name}`, { recursive: true });
  guest.run('mount', disk, `${home}/kubelet`);
  const agent = await guest.startAgent({
    home: 'soft',
    kubelet: {
      volumeStatsAggPeriod: '2s',
      evictionPressureTransitionPeriod: '5s',
      evictionHard: {},
      evictionSoft: { 'nodefs.available': '120Mi' },
      evictionSoftGracePeriod: { 'nodefs.available': `${graceSeconds}s` },
      evictionMaxPodGracePeriod: maxPodGraceSeconds,
    },
  });
  await agent.apply(podOf('quiet', [container({ requests: { memory: '64Mi' } })]));
  await agent.untilReady('quiet');

  const leaves = `${taking}; until [ -e /signals/go ]; do sleep 1; done; rm /data/x; exec sleep 1000000`;
  await agent.apply(diskPod('brief', leaves));
  await guest.until('the pressure', () => pressure(agent));
  writeFileSync(`${home}/signals/go`, '');
  await guest.until('the end of the pressure', async () => !(await pressure(agent)));
  guest.check('brief: stays', (await agent.pod('brief')).status.phase, 'Running');

  await agent.apply(
    diskPod('lasting', `trap '' TERM; ${taking}; while :; do sleep 1; done`, { terminationGracePeriodSeconds: 300 }),
  );
  const { lastTransitionTime: felt } = await guest.until('the pressure again', () => pressure(agent));
  const { status } = await agent.untilPod('lasting', 'is evicted', ({ reason }) => reason === 'Evicted');
  guest.note(`lasting: ${status.message}`);
  const { reason } = status.conditions.find(({ type }) => type === 'DisruptionTarget');
  guest.check('lasting: disrupted', reason, 'TerminationByKubelet');
  // The status says it when all has ended; the event when the pod was chosen.
  const isChoice = (event) => event.reason === 'Evicted' && event.involvedObject.name === 'lasting';
  const { firstTimestamp: evicted } = (await agent.events()).find(isChoice);
  const waited = seconds(felt, evicted);
  guest.checkThat('not before the grace is over', waited >= graceSeconds - 1 && waited < graceSeconds * 3, waited);
  const { finishedAt, exitCode } = await guest.until('the end of lasting', async () => {
    const { containerStatuses = [] } = (await agent.pod('lasting')).status;
    return containerStatuses[0]?.state?.terminated;
  });
  guest.check('lasting: killed', exitCode, 137);
  const ended = seconds(evicted, finishedAt);
  guest.checkThat('after the grace that eviction allows', ended >= maxPodGraceSeconds - 1 && ended < 60, ended);
  await guest.until('the end of the pressure', async () => !(await pressure(agent)));
  const events = (await agent.events()).map((event) => event.reason);
  for (const wanted of ['NodeHasDiskPressure', 'NodeHasNoDiskPressure', 'EvictionThresholdMet'])
    guest.checkThat('the node tells of it', events.includes(wanted), wanted);
  for (const name of ['quiet', 'brief']) guest.check(`${name}: lives`, (await agent.pod(name)).status.phase, 'Running');
  await agent.removeAll();
  await agent.stop();
}
