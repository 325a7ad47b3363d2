import { spawn, type ChildProcess } from 'node:child_process';
import type { Logger } from '../../../base/log.js';

export interface NotifyOptions {
  /** `$NOTIFY_SOCKET`: a path, or `@name` for an abstract socket. */
  readonly socket: string | undefined;
  /** `$WATCHDOG_USEC`. */
  readonly watchdogMicroseconds: number | undefined;
  readonly socatPath: string;
}

export interface NotifyDeps {
  readonly log: Logger;
  /** While false, systemd hears nothing and restarts the agent once the watchdog's time is over. */
  healthy(): boolean;
}

/** What the agent tells its service manager; nothing happens where there is none. */
export interface ServiceNotifier extends Disposable {
  ready(status: string): void;
  status(text: string): void;
  stopping(status: string): void;
}

const none: ServiceNotifier = { ready: () => {}, status: () => {}, stopping: () => {}, [Symbol.dispose]: () => {} };

/**
 * Speaks sd_notify(3). Node has no datagram sockets of the unix kind, so one `socat` sends for us as long as the agent lives; each
 * write to it becomes one datagram. The unit needs `NotifyAccess=all`, because the sender is a child.
 */
export function openNotifier(options: NotifyOptions, deps: NotifyDeps): ServiceNotifier {
  const { socket } = options;
  if (socket === undefined || socket === '') return none;
  const address = socket.startsWith('@') ? `ABSTRACT-SENDTO:${socket.slice(1)}` : `UNIX-SENDTO:${socket}`;
  const sender = spawn(options.socatPath, ['-u', '-', address], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: '/usr/bin:/bin' },
  });
  sender.on('error', (err) => deps.log.warn({ err: err.message }, 'service manager cannot be told anything'));
  sender.stdin?.on('error', () => {});
  // It must not keep an agent that has stopped alive.
  sender.unref();
  const watchdog = startWatchdog(options.watchdogMicroseconds, sender, deps);
  return {
    ready: (status) => send(sender, 'READY=1', `STATUS=${oneLine(status)}`),
    status: (text) => send(sender, `STATUS=${oneLine(text)}`),
    stopping: (status) => send(sender, 'STOPPING=1', `STATUS=${oneLine(status)}`),
    [Symbol.dispose]() {
      clearInterval(watchdog);
      // socat sends what it has and ends.
      sender.stdin?.end();
    },
  };
}

/** Twice in each period, as sd_watchdog_enabled(3) asks. */
function startWatchdog(
  microseconds: number | undefined,
  sender: ChildProcess,
  deps: NotifyDeps,
): NodeJS.Timeout | undefined {
  if (microseconds === undefined || !(microseconds > 0)) return undefined;
  let wasHealthy = true;
  const beat = (): void => {
    const isHealthy = deps.healthy();
    if (isHealthy) send(sender, 'WATCHDOG=1');
    else if (wasHealthy) deps.log.error({}, 'the agent is not healthy; the watchdog is not told that it lives');
    wasHealthy = isHealthy;
  };
  return setInterval(beat, microseconds / 2000).unref();
}

function send(sender: ChildProcess, ...lines: readonly string[]): void {
  if (sender.stdin?.writable) sender.stdin.write(`${lines.join('\n')}\n`);
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 500);
