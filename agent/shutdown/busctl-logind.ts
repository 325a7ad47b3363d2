import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { describeEnd, programSucceeded, type RunProgram } from '../../base/run-program.js';
import { linkSignal, onAbort } from '../../base/signals.js';
import { parseMicroseconds, parsePrepareForShutdown, type Logind, type ShutdownWatch } from './logind.js';

const path = '/usr/sbin:/usr/bin:/sbin:/bin';

/** The system's bus may be somewhere else, and says so to all programs in the same way. */
function env(): Readonly<Record<string, string>> {
  const address = process.env['DBUS_SYSTEM_BUS_ADDRESS'];
  return { PATH: path, LC_ALL: 'C', ...(address !== undefined && { DBUS_SYSTEM_BUS_ADDRESS: address }) };
}

const manager = ['org.freedesktop.login1', '/org/freedesktop/login1', 'org.freedesktop.login1.Manager'] as const;
const configPath = '/etc/systemd/logind.conf.d/99-kubelet.conf';
const timeoutMs = 10_000;
const listensWithinMs = 2000;
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
    try {
      await once(child, 'spawn', { signal });
      // It is started once the lock is taken, and not at all without: its echo is the proof.
      child.stdin.write('held\n');
      const heard = await firstWords(child.stdout, timeoutMs, signal);
      if (heard !== 'said') throw new Error(`hold shutdowns up: systemd-inhibit ${heard} without the lock`);
      child.stdout.resume();
    } catch (err) {
      child.kill('SIGKILL');
      throw err;
    }
    child.stderr.resume();
    return {
      async [Symbol.asyncDispose]() {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.stdin.end();
        await ended;
      },
    };
  }

  async watch(signal: AbortSignal): Promise<ShutdownWatch> {
    signal.throwIfAborted();
    const match = "type='signal',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown'";
    const child = start([...diesWithUs, 'busctl', '--system', 'monitor', '--json=short', `--match=${match}`]);
    // From its start on: what a program has said that ended before anyone reads is thrown away, with its end.
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const stop = (): void => void child.kill('SIGKILL');
    const unlink = onAbort(signal, stop);
    const end = (): void => {
      unlink();
      stop();
    };
    try {
      await once(child, 'spawn', { signal });
      // "Monitoring bus message stream.", once the bus has agreed. One that does not say so listens by then as well.
      const heard = await firstWords(child.stderr, listensWithinMs, signal);
      if (heard === 'ended') throw new Error('watch for shutdowns: busctl monitor ended');
      child.stderr.resume();
    } catch (err) {
      end();
      throw err;
    }
    return { [Symbol.asyncIterator]: () => shutdownsIn(lines, signal), [Symbol.dispose]: end };
  }
}

async function* shutdownsIn(lines: AsyncIterable<string>, signal: AbortSignal): AsyncGenerator<boolean> {
  for await (const line of lines) {
    const begins = parsePrepareForShutdown(line);
    if (begins !== undefined) yield begins;
  }
  if (!signal.aborted) throw new Error('watch for shutdowns: busctl monitor ended');
}

async function firstWords(output: Readable, withinMs: number, signal: AbortSignal): Promise<'said' | 'ended' | 'hung'> {
  using limited = linkSignal(signal, { timeoutMs: withinMs });
  try {
    // Comes at the end of the output as well, where there is nothing to read.
    await once(output, 'readable', { signal: limited.signal });
  } catch (err) {
    signal.throwIfAborted();
    if (limited.signal.aborted) return 'hung';
    throw err;
  }
  return output.read() === null ? 'ended' : 'said';
}

function start(argv: readonly string[]): ChildProcessByStdio<Writable, Readable, Readable> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, { env: env(), stdio: ['pipe', 'pipe', 'pipe'] });
  // A program that ends without reading raises EPIPE here; its exit says all there is to say.
  child.stdin.on('error', () => {});
  child.on('error', () => {});
  return child;
}
