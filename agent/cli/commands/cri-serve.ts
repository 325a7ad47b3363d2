import { cpus, hostname } from 'node:os';
import { join } from 'node:path';
import { noRecorder } from '../../../base/call-recorder.js';
import { systemClock } from '../../../base/clock.js';
import { runProgram } from '../../../base/run-program.js';
import { serveCri } from '../../../cri/serve/index.js';
import { loadConfig } from '../../config/load-config.js';
import { readHostFacts } from '../../node/host-facts.js';
import { prepareRunFolder } from '../../node/run-folder.js';
import { openRuntime } from '../../runtimes/open-runtime.js';
import type { LogLevel } from '../log-level.js';
import { openLogger } from '../open-logger.js';

export interface CriServeFlags {
  readonly socket?: string | undefined;
  readonly runtime: string;
  readonly stateDir?: string | undefined;
  readonly runDir?: string | undefined;
  readonly cniConfDir?: string | undefined;
  readonly logLevel: string;
}

/** Serves a runtime as CRI v1 until it is told to stop; containers run on. No agent is needed, and none may use the same folders. */
export async function criServe(flags: CriServeFlags): Promise<number> {
  const { stateDir, runDir, cniConfDir, runtime: containerRuntimeEndpoint } = flags;
  const { config } = await loadConfig(
    { containerRuntimeEndpoint, stateDir, runDir, cniConfDir },
    { hostname: hostname(), cpus: cpus().length },
  );
  const log = await openLogger(flags.logLevel as LogLevel);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => stop.abort(new DOMException(`got ${name}`, 'AbortError')));
  }
  await prepareRunFolder(config, stop.signal);
  const { bootId } = await readHostFacts();
  const deps = { run: runProgram, recorder: noRecorder, log, clock: systemClock, bootId };
  await using runtime = await openRuntime(config, deps, stop.signal);
  const socketPath = flags.socket ?? join(config.paths.runDir, 'cri.sock');
  await using server = await serveCri(runtime.cri, { socketPath }, { log }, stop.signal);
  log.info({ endpoint: server.endpoint }, 'serving CRI v1');
  await new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve(), { once: true }));
  return 0;
}
