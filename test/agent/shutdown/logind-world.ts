import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostProgram } from '../../support/host-program.js';
import { Daemon, eventually } from '../../support/daemon.js';
import { DBusPeer, stringBody, variantOfString, type DBusAnswer, type DBusCall } from './dbus-peer.js';

const logind = '/lib/systemd/systemd-logind';
const programs = ['/usr/bin/dbus-daemon', '/usr/bin/busctl', '/usr/bin/systemd-inhibit', logind];

export const missingForLogind = (): readonly string[] => programs.filter((path) => !existsSync(path));

/** Anybody may own any name and listen to everything: nobody else is on it. */
const busConfig = (path: string): string => `<!DOCTYPE busconfig PUBLIC
  "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=${path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow eavesdrop="true"/>
    <allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="signal"/>
    <allow receive_type="method_return"/><allow receive_type="error"/>
  </policy>
</busconfig>
`;

/** It looks after sessions too; here it has only shutdowns to look after. */
const logindConfig = `[Login]
InhibitDelayMaxSec=60
NAutoVTs=0
ReserveVT=0
RemoveIPC=no
KillUserProcesses=no
HandlePowerKey=ignore
HandleSuspendKey=ignore
HandleHibernateKey=ignore
HandleLidSwitch=ignore
IdleAction=ignore
`;

/** On a machine that has other things to do. */
const slowMs = 60_000;

/**
 * A real systemd-logind on a bus of its own and in a mount namespace of its own. The systemd behind it, which would stop the machine, is
 * the test's: it notes what it is told to start.
 */
export class LogindWorld implements AsyncDisposable {
  readonly address: string;
  /** Units that were to be started: `poweroff.target`. */
  readonly started: string[] = [];
  /** Called in the moment in which one is. */
  onStart: () => void = () => {};
  /** The next shutdown is refused at its end: logind calls it off. */
  refuses = false;
  readonly #dir: string;
  readonly #bus: Daemon;
  readonly #logind: Daemon;
  #systemd: DBusPeer | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
    const bus = join(dir, 'bus');
    this.address = `unix:path=${bus}`;
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DBUS_SYSTEM_BUS_ADDRESS: this.address };
    this.#bus = new Daemon({
      argv: ['dbus-daemon', `--config-file=${join(dir, 'bus.conf')}`, '--nofork', '--nopidfile'],
      env,
      logFile: join(dir, 'bus.log'),
    });
    const script = `mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd && mount --bind ${join(dir, 'etc')} /etc/systemd && exec ${logind}`;
    this.#logind = new Daemon({
      argv: ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script],
      env,
      logFile: join(dir, 'logind.log'),
    });
  }

  static async open(): Promise<LogindWorld> {
    const dir = await mkdtemp(join(tmpdir(), 'berth-logind-'));
    const world = new LogindWorld(dir);
    await mkdir(join(dir, 'etc'));
    await writeFile(join(dir, 'etc/logind.conf'), logindConfig);
    await writeFile(join(dir, 'bus.conf'), busConfig(join(dir, 'bus')));
    world.#bus.start();
    await eventually('the bus listens', () => existsSync(join(dir, 'bus')), slowMs);
    world.#systemd = await DBusPeer.own(join(dir, 'bus'), 'org.freedesktop.systemd1', (call) => world.#answer(call));
    world.#logind.start();
    await eventually('logind answers', () => world.call('ListInhibitors'), slowMs);
    return world;
  }

  /** A call of logind's manager, by its words as busctl prints them. */
  async call(member: string, ...args: readonly string[]): Promise<string> {
    const name = 'org.freedesktop.login1';
    const argv = ['busctl', '--system', 'call', name, '/org/freedesktop/login1', `${name}.Manager`, member, ...args];
    return await hostProgram(['env', `DBUS_SYSTEM_BUS_ADDRESS=${this.address}`, ...argv]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#logind.stop();
    this.#systemd?.[Symbol.dispose]();
    await this.#bus.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }

  #answer({ member, strings }: DBusCall): DBusAnswer {
    switch (member) {
      case 'Get':
        return { signature: 'v', body: variantOfString(strings[1] === 'LoadState' ? 'loaded' : '') };
      case 'StartUnit':
        this.started.push(strings[0] ?? '');
        this.onStart();
        if (this.refuses) return 'org.freedesktop.systemd1.TransactionIsDestructive';
        return { signature: 'o', body: stringBody('/org/freedesktop/systemd1/job/1') };
      case 'Subscribe':
        return { signature: '', body: Buffer.alloc(0) };
      default:
        return 'org.freedesktop.DBus.Error.UnknownMethod';
    }
  }
}
