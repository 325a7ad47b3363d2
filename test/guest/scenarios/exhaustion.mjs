// A machine without any memory left: who is killed by the kernel, and who is not. Nothing is asked of it; it runs out.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { container, podOf } from '../inside/pods.mjs';

const mebi = 2 ** 20;

/** Without swap, and small: an emulated machine has to fill it. Pods are held back by nothing that all have together. */
export const machine = { memoryMib: 1024 };
const kubelet = { evictionHard: {}, enforceNodeAllocatable: ['none'] };

const quiet = podOf('quiet', [container({ requests: { memory: '32Mi' }, limits: { memory: '64Mi' } })]);
const greedy = 'dd if=/dev/zero bs=850M count=1 | sleep 1000000';

const availableMib = () => Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))[1]) / 1024;
const kills = () => Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))[1]);

export async function check(guest) {
  const agent = await guest.startAgent({ kubelet });
  const { pid } = agent;
  await agent.apply(quiet);
  const before = await agent.untilReady('quiet');
  guest.note(`${Math.round(availableMib())} MiB are left`);

  // It has asked for nothing, so it is the first to go.
  await agent.apply(podOf('greedy', [container({}, greedy)], { restartPolicy: 'Never' }));
  const { status } = await agent.untilPod('greedy', 'has ended', ({ phase }) => phase === 'Failed');
  guest.check('a pod that took all', status.containerStatuses[0].state.terminated.reason, 'OOMKilled');
  guest.checkThat('the kernel did it', kills() > 0, kills());

  // A process of the machine. The shell lives, and the one that fills the memory is the one that goes.
  const victim = spawn('choom', ['-n', '900', '--', 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=850M', 'count=1'], {
    stdio: 'ignore',
  });
  const [, signal] = await once(victim, 'exit');
  guest.check('a process of the machine that took all', signal, 'SIGKILL');
  const message = `System OOM encountered, victim process: dd, pid: ${victim.pid}`;
  await guest.until(message, async () => (await agent.events()).some((event) => event.message === message));

  const after = await agent.pod('quiet');
  const { restartCount, ready, containerID } = after.status.containerStatuses[0];
  const same = containerID === before.status.containerStatuses[0].containerID;
  guest.check('the quiet pod', [after.status.phase, ready, restartCount, same], ['Running', true, 0, true]);
  guest.check('the agent is the same', [agent.pid, readFileSync(`/proc/${pid}/comm`, 'utf8') !== ''], [pid, true]);
  await agent.apply(podOf('next', [container({ limits: { memory: `${32 * mebi}` } })]));
  await agent.untilReady('next');
  guest.note(`${Math.round(availableMib())} MiB are left`);
  await agent.removeAll();
  await agent.stop();
}
