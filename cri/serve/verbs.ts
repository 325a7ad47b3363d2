import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from '../contract/cri-error.js';
import type { CriRuntime } from '../contract/runtime.js';
import type { StreamingServer } from './streaming-server.js';
import type { UnaryVerb } from './unary-handlers.js';

type Unary<M> = { [K in keyof M]: M[K] extends { kind: 'unary' } ? K : never }[keyof M];
type Verbs<M> = {
  readonly [K in Unary<M>]: M[K] extends { request: infer Q; response: infer A }
    ? (request: Q, signal: AbortSignal) => Promise<A>
    : never;
};

/** Every unary verb of RuntimeService; one that is missing does not compile. */
export function runtimeVerbs({ runtime }: CriRuntime, streams: StreamingServer): Record<string, UnaryVerb> {
  const verbs: Verbs<v1.RuntimeServiceMethods> = {
    version: (r, s) => runtime.version(r, s),
    status: (r, s) => runtime.status(r, s),
    runtimeConfig: (r, s) => runtime.runtimeConfig(r, s),
    updateRuntimeConfig: (r, s) => runtime.updateRuntimeConfig(r, s),
    runPodSandbox: (r, s) => runtime.runPodSandbox(r, s),
    stopPodSandbox: (r, s) => runtime.stopPodSandbox(r, s),
    removePodSandbox: (r, s) => runtime.removePodSandbox(r, s),
    podSandboxStatus: (r, s) => runtime.podSandboxStatus(r, s),
    listPodSandbox: (r, s) => runtime.listPodSandbox(r, s),
    updatePodSandboxResources: (r, s) => runtime.updatePodSandboxResources(r, s),
    createContainer: (r, s) => runtime.createContainer(r, s),
    startContainer: (r, s) => runtime.startContainer(r, s),
    stopContainer: (r, s) => runtime.stopContainer(r, s),
    removeContainer: (r, s) => runtime.removeContainer(r, s),
    listContainers: (r, s) => runtime.listContainers(r, s),
    containerStatus: (r, s) => runtime.containerStatus(r, s),
    updateContainerResources: (r, s) => runtime.updateContainerResources(r, s),
    reopenContainerLog: (r, s) => runtime.reopenContainerLog(r, s),
    execSync: (r, s) => runtime.execSync(r, s),
    checkpointContainer: (r, s) => runtime.checkpointContainer(r, s),
    containerStats: (r, s) => runtime.containerStats(r, s),
    listContainerStats: (r, s) => runtime.listContainerStats(r, s),
    podSandboxStats: (r, s) => runtime.podSandboxStats(r, s),
    listPodSandboxStats: (r, s) => runtime.listPodSandboxStats(r, s),
    listMetricDescriptors: (r, s) => runtime.listMetricDescriptors(r, s),
    listPodSandboxMetrics: (r, s) => runtime.listPodSandboxMetrics(r, s),
    async exec(request, signal) {
      checkStreams('exec', request);
      if ((request.cmd ?? []).length === 0) throw criError('invalid-argument', 'exec: cmd is empty');
      await expectRunning('exec', request.containerId, signal);
      return { url: streams.url({ verb: 'exec', request }) };
    },
    async attach(request, signal) {
      checkStreams('attach', request);
      await expectRunning('attach', request.containerId, signal);
      return { url: streams.url({ verb: 'attach', request }) };
    },
    async portForward(request, signal) {
      const { status } = await runtime.podSandboxStatus({ podSandboxId: request.podSandboxId }, signal);
      if (status?.state !== 'SANDBOX_READY') {
        throw criError(
          'failed-precondition',
          `port-forward to ${request.podSandboxId ?? ''}: the sandbox is not ready`,
        );
      }
      return { url: streams.url({ verb: 'portforward', request }) };
    },
  };
  async function expectRunning(verb: string, containerId: string | undefined, signal: AbortSignal): Promise<void> {
    if (!containerId) throw criError('invalid-argument', `${verb}: container_id is empty`);
    const { status } = await runtime.containerStatus({ containerId }, signal);
    if (status?.state !== 'CONTAINER_RUNNING') {
      throw criError(
        'failed-precondition',
        `${verb} in ${containerId}: the container is in state ${status?.state ?? ''}`,
      );
    }
  }
  return verbs;
}

export function imageVerbs({ images }: CriRuntime): Record<string, UnaryVerb> {
  const verbs: Verbs<v1.ImageServiceMethods> = {
    listImages: (r, s) => images.listImages(r, s),
    imageStatus: (r, s) => images.imageStatus(r, s),
    pullImage: (r, s) => images.pullImage(r, s),
    removeImage: (r, s) => images.removeImage(r, s),
    imageFsInfo: (r, s) => images.imageFsInfo(r, s),
  };
  return verbs;
}

/** The rules in the comments of ExecRequest and AttachRequest. */
function checkStreams(verb: string, request: v1.AttachRequest): void {
  if (!request.stdin && !request.stdout && !request.stderr) {
    throw criError('invalid-argument', `${verb}: one of stdin, stdout, and stderr must be set`);
  }
  if (request.tty && request.stderr) {
    throw criError('invalid-argument', `${verb}: tty and stderr cannot both be true`);
  }
}
