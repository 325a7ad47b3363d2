import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { Agent } from '../agent.js';
import type { AgentConfig } from '../config/agent-config.js';
import { openAgent } from '../open-agent.js';
import { MetricsStore, openNotifier, openServing, SocketError } from '../serving/index.js';

export interface RunDeps {
  readonly log: Logger;
  /** Called once the agent runs; what it returns is disposed before the agent. */
  readonly started?: ((agent: Agent) => Disposable | undefined) | undefined;
  /** Stops the agent besides the signals. */
  readonly stop?: AbortController | undefined;
}

/** Runs an agent with all it serves until SIGTERM or SIGINT; containers keep running. Resolves with the exit code. */
export async function runUntilStopped(
  config: AgentConfig,
  { log, started, stop = new AbortController() }: RunDeps,
): Promise<number> {
  const onSignal = (name: NodeJS.Signals): void => {
    // Once more while it stops: it is on its way, and cutting it short would leave more to clean up.
    if (stop.signal.aborted) return log.info({ signal: name }, 'already stopping');
    log.info({ signal: name }, 'stopping; pods keep running');
    stop.abort(new DOMException(`got ${name}`, 'AbortError'));
  };
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, onSignal);
  try {
    await serveAgent(config, log, started, stop.signal);
    return 0;
  } catch (err) {
    if (stop.signal.aborted && !(err instanceof SocketError)) return 0;
    const asWhom = process.geteuid?.() === 0 ? '' : '; it makes namespaces, mounts and cgroups: run it as root';
    log.error({ err: `${errorText(err)}${asWhom}` }, 'the agent cannot run');
    return 1;
  } finally {
    for (const name of signals) process.off(name, onSignal);
  }
}

async function serveAgent(
  config: AgentConfig,
  log: Logger,
  started: RunDeps['started'],
  signal: AbortSignal,
): Promise<void> {
  const metrics = new MetricsStore();
  using notifier = openNotifier(notifyOptions(), { log, healthy: () => !signal.aborted });
  await using serving = await openServing(config, { log, metrics });
  await using agent = await openAgent(config, { log, metrics }, signal);
  serving.serve(agent);
  using _shown = started?.(agent);
  const { nodeName } = agent.config;
  log.info(
    { node: nodeName, socket: config.serving.socketPath, startMs: Math.round(performance.now()) },
    'agent started',
  );
  notifier.ready(`running pods on ${nodeName}`);
  using _status = tellStatus(agent, (text) => notifier.status(text));
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  notifier.stopping('stopping; pods keep running');
}

function notifyOptions(): Parameters<typeof openNotifier>[0] {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds, WATCHDOG_PID: pid } = process.env;
  // Meant for us, and for none of our children.
  delete process.env['NOTIFY_SOCKET'];
  const isOurs = pid === undefined || Number(pid) === process.pid;
  return {
    socket,
    watchdogMicroseconds: isOurs && microseconds !== undefined ? Number(microseconds) : undefined,
    socatPath: '/usr/bin/socat',
  };
}

/** How often the line of `systemctl status` may change. */
const statusEveryMs = 2000;

function tellStatus(agent: Agent, say: (text: string) => void): Disposable {
  let timer: NodeJS.Timeout | undefined;
  let last = '';
  const tell = (): void => {
    timer = undefined;
    const pods = agent.pods();
    const ready = pods.filter(({ status }) =>
      status?.conditions?.some(({ type, status: met }) => type === 'Ready' && met === 'True'),
    ).length;
    const { ready: runtime, network, message } = agent.runtimeHealth;
    const trouble = !runtime ? `; runtime: ${message}` : !network.ready ? `; network: ${network.message}` : '';
    const text = `${ready} of ${pods.length} pods ready${trouble}`;
    if (text !== last) say(text);
    last = text;
  };
  const subscription = agent.onPodChange(() => {
    timer ??= setTimeout(tell, statusEveryMs).unref();
  });
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      subscription[Symbol.dispose]();
    },
  };
}
