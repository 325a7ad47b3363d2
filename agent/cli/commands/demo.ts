import { appendFileSync, existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { cpus, hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../../../base/log.js';
import { checkHost, hasLack, realHost, renderCheck } from '../../check/index.js';
import { defaultConfig } from '../../config/agent-config.js';
import { cleanDemo } from '../../demo/clean-demo.js';
import { demo as places, demoConfig, demoSubdirs } from '../../demo/demo-config.js';
import { showLive } from '../../demo/live-view.js';
import { makeDemoImages, writeDemoNetwork } from '../../demo/prepare-demo.js';
import { answers } from '../../serving/node-api/claim-socket.js';
import { usage } from '../client/index.js';
import { humanLogger } from '../human-logger.js';
import type { LogLevel } from '../log-level.js';
import { openLogger } from '../open-logger.js';
import { runUntilStopped } from '../run-until-stopped.js';
import { setUmask } from '../set-umask.js';

export interface DemoFlags {
  readonly samples?: string | undefined;
  readonly clean?: boolean | undefined;
  readonly logLevel: string;
}

/** The samples on a network of their own, in the foreground; or, with `--clean`, the end of all that. */
export async function demo(flags: DemoFlags): Promise<number> {
  setUmask();
  const { out, say } = { out: process.stdout, say: (line: string) => void process.stderr.write(`${line}\n`) };
  const stop = new AbortController();
  const level = flags.logLevel as LogLevel;
  const config = demoConfig(flags.samples ?? defaultSamples());
  if (await answers(config.serving.socketPath))
    throw usage('the demo runs already; end it first with Ctrl-C where it was started');
  if (flags.clean) {
    await cleanDemo(await openLogger(level), stop.signal);
    say('The demo is gone: its pods, network, images and files.');
    return 0;
  }
  const log = await demoLogger(level);
  await writeDemoNetwork();
  if (!(await machineIsFit(say))) return 1;
  say('berth: making the images of the samples from the busybox of this machine');
  await makeDemoImages(log, stop.signal);
  say(
    `berth: running the pods of ${config.sources.manifestPath ?? ''}; Ctrl-C ends the agent and leaves the pods running\n`,
  );
  const code = await runUntilStopped(config, {
    log,
    stop,
    started: (agent) => showLive(agent, out, (seconds) => tour(seconds)),
  });
  if (code === 0)
    say(
      `\nThe agent has stopped, the pods keep running. Start it again and it takes them over. To remove all of it: ${self()} demo --clean`,
    );
  return code;
}

/** In the checkout and in the installed package alike: beside `dist`. */
function defaultSamples(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && folder !== '/') folder = dirname(folder);
  const path = join(folder, 'samples');
  if (!existsSync(path)) throw usage(`demo: ${path} is not there; name a folder with --samples`);
  return path;
}

/** On a terminal the live view has the screen; the log goes to a file then. */
async function demoLogger(level: LogLevel): Promise<Logger> {
  if (!process.stdout.isTTY) return await openLogger(level);
  await mkdir(places.stateDir, { recursive: true, mode: 0o750 });
  const file = join(places.stateDir, 'agent.log');
  return humanLogger(level, (line) => appendFileSync(file, line));
}

async function machineIsFit(say: (line: string) => void): Promise<boolean> {
  const { paths, serving } = defaultConfig(hostname(), cpus().length);
  const groups = await checkHost(realHost(new AbortController().signal), {
    stateDir: places.stateDir,
    runDir: places.runDir,
    podLogsDir: places.stateDir,
    ...serving,
    socketPath: join(places.runDir, 'berth.sock'),
    confDir: demoSubdirs.cni,
    binDirs: paths.cniBinDirs,
  });
  if (!hasLack(groups)) return true;
  say(renderCheck(groups, true));
  say('This machine cannot run pods yet; what is marked ✗ is missing.');
  return false;
}

const self = (): string => (process.argv[1]?.endsWith('berth.js') ? `node ${process.argv[1]}` : 'berth');

function tour(seconds: number): string {
  return `
All pods are ready after ${seconds.toFixed(1)} s. Try in another terminal:
  alias berth='${self()}'
  berth get pods -o wide
  berth why web
  curl http://127.0.0.1:8080/
  berth logs app -c reader -f
  berth exec settings -- env
`;
}
