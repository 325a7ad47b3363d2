import { readFileSync } from 'node:fs';
import { noRecorder, type CallRecorder } from '../../../base/call-recorder.js';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { runProgram, type RunProgram } from '../../../base/run-program.js';
import { openEmbeddedRuntime, type EmbeddedRuntimeOptions, type StoredImage } from '../../../cri/embedded/index.js';
import type { v1 } from '../../../cri/index.js';
import { imageLookup } from './busybox-image.js';
import { StateKeepingNetwork } from '../state-keeping-network.js';

/** A pod's life in a process of its own, which ends itself with SIGKILL at a point the test names. */
export interface HostPlan {
  readonly options: EmbeddedRuntimeOptions;
  readonly image: StoredImage;
  readonly networkFolder: string;
  readonly bootId: string;
  readonly sandbox: v1.PodSandboxConfig;
  readonly container: v1.ContainerConfig;
  /** A step of the runtime, a program as soon as it was started, or conmon some milliseconds after it was. */
  readonly dieAt: { readonly step: string } | { readonly program: string } | { readonly conmonAfterMs: number };
}

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};

async function main(plan: HostPlan): Promise<void> {
  const { dieAt } = plan;
  const run: RunProgram = (options, signal) => {
    const running = runProgram(options, signal);
    if ('program' in dieAt && options.argv.join(' ').includes(dieAt.program)) die();
    return running;
  };
  const recorder: CallRecorder = {
    begin: (call) => {
      if ('conmonAfterMs' in dieAt && call.verb === 'create') setTimeout(die, dieAt.conmonAfterMs);
      return noRecorder.begin(call);
    },
  };
  const signal = new AbortController().signal;
  const { runtime } = await openEmbeddedRuntime(
    plan.options,
    {
      run,
      recorder,
      log: silentLogger,
      clock: systemClock,
      images: imageLookup([plan.image]),
      network: new StateKeepingNetwork(plan.networkFolder),
      bootId: plan.bootId,
      at: (step) => {
        if ('step' in dieAt && step === dieAt.step) die();
      },
    },
    signal,
  );
  const { podSandboxId } = await runtime.runPodSandbox({ config: plan.sandbox }, signal);
  const { containerId } = await runtime.createContainer({ podSandboxId, config: plan.container }, signal);
  await runtime.startContainer({ containerId }, signal);
  await runtime.stopContainer({ containerId, timeout: 0 }, signal);
  await runtime.removeContainer({ containerId }, signal);
  await runtime.stopPodSandbox({ podSandboxId }, signal);
  await runtime.removePodSandbox({ podSandboxId }, signal);
}

await main(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as HostPlan);
