import type { Channel } from '@grpc/grpc-js';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { loadServices } from '../../proto/load.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError, isCriCode } from '../contract/cri-error.js';
import type { RuntimeService } from '../contract/runtime-service.js';
import type { CriRuntime } from '../contract/runtime.js';
import { CriClient, openChannel } from './cri-client.js';
import { endingAtOnce } from './end-at-once.js';
import { remoteImageService } from './remote-image-service.js';
import { remoteRuntimeService } from './remote-runtime-service.js';
import { remoteStreamingService } from './remote-streaming-service.js';
import { defaultTimeouts, type RemoteTimeouts } from './timeouts.js';

export interface RemoteRuntimeOptions {
  /** `unix:///run/containerd/containerd.sock` */
  readonly endpoint: string;
  /** Where images are, when another service has them. */
  readonly imageEndpoint?: string | undefined;
  readonly timeouts?: Partial<RemoteTimeouts> | undefined;
}

export interface RemoteRuntimeDeps {
  readonly log: Logger;
  readonly clock: Clock;
  readonly recorder: CallRecorder;
}

/** How long the first question may take: the agent's start must not hang on a runtime that does. */
const greetingMs = 5000;

/**
 * A runtime behind a CRI v1 socket (containerd, CRI-O, `berth cri serve`). A runtime that is away now is no failure: calls fail
 * with `unavailable` until it is there, and the connection is made again each time it comes back. One that answers and
 * does not speak CRI v1 is refused.
 */
export async function openRemoteRuntime(
  options: RemoteRuntimeOptions,
  deps: RemoteRuntimeDeps,
  signal: AbortSignal,
): Promise<CriRuntime> {
  const { endpoint, imageEndpoint = endpoint } = options;
  checkEndpoint(endpoint);
  checkEndpoint(imageEndpoint);
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const channel = openChannel(endpoint);
  const imageChannel = imageEndpoint === endpoint ? channel : openChannel(imageEndpoint);
  const close = (): void => closeAll(new Set([channel, imageChannel]));
  // Parsed once for both.
  const services = loadServices('cri-v1');
  try {
    const client = new CriClient<v1.RuntimeServiceMethods>(
      services,
      'runtime.v1.RuntimeService',
      channel,
      endpoint,
      deps,
    );
    const images = new CriClient<v1.ImageServiceMethods>(
      services,
      'runtime.v1.ImageService',
      imageChannel,
      imageEndpoint,
      deps,
    );
    const greeting = remoteRuntimeService(client, { requestMs: Math.min(greetingMs, timeouts.requestMs) });
    const runtimeName = await greet(endpoint, greeting, deps, signal);
    return {
      runtime: endingAtOnce(remoteRuntimeService(client, timeouts), runtimeName),
      images: remoteImageService(images, timeouts),
      streaming: remoteStreamingService(client, timeouts),
      [Symbol.asyncDispose]: async () => close(),
    };
  } catch (err) {
    close();
    throw err;
  }
}

function checkEndpoint(endpoint: string): void {
  if (/^unix:(\/\/)?\/./.test(endpoint)) return;
  throw criError(
    'invalid-argument',
    `open runtime: endpoint "${endpoint}" is not of the form unix:///path/of/the.sock`,
  );
}

/** The name of the runtime, undefined while it is away. */
async function greet(
  endpoint: string,
  runtime: RuntimeService,
  deps: RemoteRuntimeDeps,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const { runtimeName, runtimeVersion, runtimeApiVersion } = await runtime.version({ version: 'v1' }, signal);
    deps.log.info({ endpoint, runtimeName, runtimeVersion, runtimeApiVersion }, 'connected to the container runtime');
    return runtimeName;
  } catch (err) {
    signal.throwIfAborted();
    if (isCriCode(err, 'unimplemented')) {
      throw criError('unimplemented', `open runtime ${endpoint}: it does not speak CRI v1`, err);
    }
    deps.log.warn({ endpoint, err: errorText(err) }, 'the container runtime is not there yet');
    return undefined;
  }
}

function closeAll(channels: ReadonlySet<Channel>): void {
  for (const channel of channels) channel.close();
}
