import { cpus, hostname } from 'node:os';
import { join } from 'node:path';
import { noRecorder } from '../../../base/call-recorder.js';
import { systemClock } from '../../../base/clock.js';
import { runProgram } from '../../../base/run-program.js';
import { serveCri } from '../../../cri/serve/index.js';
import type { AgentConfig } from '../../config/agent-config.js';
import { ConfigError, type ConfigProblem } from '../../config/kubelet/index.js';
import { loadConfig } from '../../config/load-config.js';
import { claimFolders, runtimeClaim } from '../../node/claim-folders.js';
import { readHostFacts } from '../../node/host-facts.js';
import { prepareRunFolder } from '../../node/run-folder.js';
import { chooseRuntime } from '../../runtimes/choose-runtime.js';
import { parseOciRuntimes } from '../../runtimes/oci-runtime-flags.js';
import { openRuntime } from '../../runtimes/open-runtime.js';
import type { LogLevel } from '../log-level.js';
import { openLogger } from '../open-logger.js';
import { setUmask } from '../set-umask.js';

export interface CriServeFlags {
  readonly config?: string | undefined;
  readonly configDir?: string | undefined;
  readonly socket?: string | undefined;
  readonly runtime?: string | undefined;
  readonly ociRuntime?: readonly string[] | undefined;
  readonly insecureRegistry?: readonly string[] | undefined;
  readonly cgroupDriver?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly runDir?: string | undefined;
  readonly cniConfDir?: string | undefined;
  readonly logLevel: LogLevel;
}

/** Serves a runtime as CRI v1 until it is told to stop; containers run on. No agent is needed, and none may use the same folders. */
export async function criServe(flags: CriServeFlags): Promise<number> {
  setUmask();
  try {
    return await serve(await configOf(flags), flags);
  } catch (err) {
    if (!(err instanceof ConfigError)) throw err;
    process.stderr.write(`berth: ${err.message}\n`);
    return 2;
  }
}

async function serve(config: AgentConfig, flags: CriServeFlags): Promise<number> {
  const log = await openLogger(flags.logLevel);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => stop.abort(new DOMException(`got ${name}`, 'AbortError')));
  }
  await prepareRunFolder(config, stop.signal);
  await using _folders = await claimFolders([runtimeClaim(config.paths.stateDir)], stop.signal);
  const { bootId } = await readHostFacts();
  const deps = { run: runProgram, recorder: noRecorder, log, clock: systemClock, bootId };
  await using runtime = await openRuntime(config, deps, stop.signal);
  const socketPath = flags.socket ?? join(config.paths.runDir, 'cri.sock');
  await using server = await serveCri(runtime.cri, { socketPath }, { log }, stop.signal);
  log.info({ endpoint: server.endpoint }, 'serving CRI v1');
  await new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve(), { once: true }));
  return 0;
}

/** The agent's configuration with what is said here. What Docker and others decide themselves is not taken in silence. */
async function configOf(flags: CriServeFlags): Promise<AgentConfig> {
  const { config: file, configDir, insecureRegistry, cgroupDriver, stateDir, runDir, cniConfDir } = flags;
  const { config } = await loadConfig(
    {
      ...{ config: file, configDir, insecureRegistry, stateDir, runDir, cniConfDir },
      containerRuntimeEndpoint: flags.runtime,
      kubelet: cgroupDriver === undefined ? {} : { 'cgroup-driver': cgroupDriver },
    },
    { hostname: hostname(), cpus: cpus().length },
  );
  const problems: ConfigProblem[] = [];
  const given = parseOciRuntimes(flags.ociRuntime ?? [], (problem) => problems.push(problem));
  const runtime = { ...config.runtime, ociRuntimes: { ...config.runtime.ociRuntimes, ...given } };
  const { kind } = chooseRuntime(runtime.endpoint, Object.values(runtime.ociRuntimes));
  const ofEmbedded = {
    'oci-runtime': flags.ociRuntime,
    'insecure-registry': insecureRegistry,
    'cgroup-driver': cgroupDriver,
  };
  for (const [name, value] of Object.entries(ofEmbedded))
    if (kind !== 'embedded' && value !== undefined)
      problems.push({ path: `--${name}`, message: `is for the embedded runtime; ${ownWords[kind]}` });
  if (problems.length > 0) throw new ConfigError(problems);
  return { ...config, runtime };
}

const ownWords = {
  docker: 'Docker has its own (runtimes, insecure-registries and exec-opts of daemon.json)',
  remote: 'a runtime behind a socket has its own',
} as const;
