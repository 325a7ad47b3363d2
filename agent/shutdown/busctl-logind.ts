import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { describeEnd, programSucceeded, type RunProgram } from '../../base/run-program.js';
import { parseMicroseconds, parsePrepareForShutdown, type Logind } from './logind.js';

const path = '/usr/sbin:/usr/bin:/sbin:/bin';

/** The system's bus may be somewhere else, and says so to all programs in the same way. */
function env(): Readonly<Record<string, string>> {
  const address = process.env['DBUS_SYSTEM_BUS_ADDRESS'];
  return { PATH: path, LC_ALL: 'C', ...(address !== undefined && { DBUS_SYSTEM_BUS_ADDRESS: address }) };
}

const manager = ['org.freedesktop.login1', '/org/freedesktop/login1', 'org.freedesktop.login1.Manager'] as const;
const configPath = '/etc/systemd/logind.conf.d/99-kubelet.conf';
const timeoutMs = 10_000;
/** A helper that outlived a killed agent would hold every later shutdown up. */
const diesWithUs = ['setpriv', '--pdeathsig', 'SIGKILL'] as const;

/** systemd-logind over D-Bus, spoken to through systemd's own programs. */
export class BusctlLogind implements Logind {
  readonly #run: RunProgram;

  constructor(run: RunProgram) {
    this.#run = run;
  }

  async maxDelayMs(signal: AbortSignal): Promise<number | undefined> {
    const argv = ['busctl', '--system', 'get-property', ...manager, 'InhibitDelayMaxUSec'] as const;
    const result = await this.#run({ argv: [...argv], env: env(), timeoutMs }, signal);
    return programSucceeded(result) ? parseMicroseconds(result.stdout.toString('utf8')) : undefined;
  }

  async raiseMaxDelay(ms: number, signal: AbortSignal): Promise<void> {
    await mkdir(dirname(configPath), { recursive: true });
    const seconds = Math.ceil(ms / 1000);
    await writeFileAtomic(configPath, `# Kubelet logind override\n[Login]\nInhibitDelayMaxSec=${seconds}\n`, {
      mode: 0o644,
    });
    const argv: [string, ...string[]] = ['systemctl', 'kill', '--signal=SIGHUP', 'systemd-logind.service'];
    const result = await this.#run({ argv, env: env(), timeoutMs }, signal);
    if (!programSucceeded(result)) throw new Error(`reload logind: ${describeEnd(result)}`);
  }

  async inhibit(signal: AbortSignal): Promise<AsyncDisposable> {
    signal.throwIfAborted();
    const words = [
      '--what=shutdown',
      '--who=kubelet',
      '--why=Kubelet needs time to handle node shutdown',
      '--mode=delay',
    ];
    // The lock is held as long as the program below runs; cat ends with our end of its input.
    const child = start([...diesWithUs, 'systemd-inhibit', ...words, 'cat']);
    await once(child, 'spawn', { signal });
    return {
      async [Symbol.asyncDispose]() {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.stdin.end();
        await once(child, 'exit');
      },
    };
  }

  async *shutdowns(signal: AbortSignal): AsyncIterable<boolean> {
    const match = "type='signal',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown'";
    const child = start([...diesWithUs, 'busctl', '--system', 'monitor', '--json=short', `--match=${match}`]);
    const stop = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        const begins = parsePrepareForShutdown(line);
        if (begins !== undefined) yield begins;
      }
      if (!signal.aborted) throw new Error('watch for shutdowns: busctl monitor ended');
    } finally {
      signal.removeEventListener('abort', stop);
      stop();
    }
  }
}

function start(argv: readonly string[]): ChildProcessByStdio<Writable, Readable, null> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, { env: env(), stdio: ['pipe', 'pipe', 'ignore'] });
  // A program that ends without reading raises EPIPE here; its exit says all there is to say.
  child.stdin.on('error', () => {});
  child.on('error', () => {});
  return child;
}
