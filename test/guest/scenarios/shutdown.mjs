// systemd turns the machine off: it waits for the pods, whose ends take longer than logind lets a shutdown wait when nobody asks for more.
import { spawn } from 'node:child_process';
import { container, podOf } from '../inside/pods.mjs';

export const machine = { init: 'systemd', units: ['systemd-logind.service'] };

const manager = ['org.freedesktop.login1', '/org/freedesktop/login1', 'org.freedesktop.login1.Manager'];

const ending = (name, seconds, priority) =>
  podOf(name, [container({}, `trap 'sleep ${seconds}; exit 0' TERM; sleep 1000000 & wait`)], {
    priority,
    terminationGracePeriodSeconds: 60,
  });

export async function check(guest) {
  const maxDelay = () => guest.run('busctl', '--system', 'get-property', ...manager, 'InhibitDelayMaxUSec');
  guest.check('what logind lets a shutdown wait', maxDelay(), 't 5000000');
  const agent = await guest.startAgent({
    driver: 'systemd',
    kubelet: { shutdownGracePeriod: '150s', shutdownGracePeriodCriticalPods: '50s' },
  });
  await agent.apply(ending('ordinary', 8, 0), ending('critical', 0, 2_000_000_000));
  for (const name of ['ordinary', 'critical']) await agent.untilReady(name);
  const holds = (who) =>
    guest.run('busctl', '--system', 'call', ...manager, 'ListInhibitors').includes(`"shutdown" "${who}"`);
  const agentHolds = () => holds('kubelet');
  await guest.until('the agent to hold shutdowns up', agentHolds);
  guest.check('and what it lets it wait now', maxDelay(), 't 150000000');

  // For the last answers: with the end of its pods the agent lets the machine go.
  const held = spawn('systemd-inhibit', ['--what=shutdown', '--mode=delay', '--who=checks', 'sleep', '300']);
  await guest.until('the checks to hold it up too', () => holds('checks'));
  guest.run('systemctl', 'poweroff');
  await guest.until('the agent to hear of it', () => agent.log.includes('the machine shuts down'));
  await agent.apply(podOf('late', [container({})]));
  const seen = new Set();
  let letGoEarly = false;
  await guest.until('the end of all pods', async () => {
    const isHeld = agentHolds();
    for (const name of ['late', 'ordinary', 'critical']) {
      const { status } = await agent.pod(name);
      if (status.phase === 'Failed') seen.add(`${name}: ${status.reason}: ${status.message}`);
    }
    letGoEarly ||= !isHeld && seen.size < 3;
    return seen.size === 3;
  });
  guest.check('shutdowns let go before the last pod had ended', letGoEarly, false);
  const ended = 'Terminated: Pod was terminated in response to imminent node shutdown.';
  guest.check(
    'in this order',
    [...seen],
    [
      'late: NodeShutdown: Pod was rejected: Pod was rejected as the node is shutting down.',
      `ordinary: ${ended}`,
      `critical: ${ended}`,
    ],
  );
  await guest.until('the agent to let the machine go', () => !agentHolds());
  held.kill();
}
