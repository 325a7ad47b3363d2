import { join } from 'node:path';
import type { AgentConfig } from '../config/agent-config.js';
import { Lifetimes } from '../lifetimes.js';
import { cniSandboxNetwork } from '../network/cni-sandbox-network.js';
import { openConfiguredCni } from './open-cni.js';
import type { OpenedRuntime, OpenRuntimeDeps } from './opened-runtime.js';

/** Pods in Docker Engine, on the CNI network of this machine. Its client is heavy and loaded only here. */
export async function openDocker(
  config: AgentConfig,
  socketPath: string,
  deps: OpenRuntimeDeps,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  await using opening = new Lifetimes();
  const { run, recorder, log, clock } = deps;
  const { openDockerRuntime, openWhenAsked } = await import('../../cri/docker/index.js');
  const cni = opening.use(await openConfiguredCni(config, deps, signal));
  const options = {
    socketPath,
    stateDir: join(config.paths.stateDir, 'docker'),
    requestTimeoutMs: config.runtime.requestTimeoutMs,
  };
  const dockerDeps = { run, recorder, log, clock, network: cniSandboxNetwork(cni, log) };
  const cri = opening.use(openWhenAsked((asked) => openDockerRuntime(options, dockerDeps, asked)));
  const owned = opening.release();
  return { cri, cni, imageStore: undefined, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() };
}
