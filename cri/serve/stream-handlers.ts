import type { ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { linkSignal } from '../../base/signals.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import type { ImageService } from '../contract/image-service.js';
import type { RuntimeService } from '../contract/runtime-service.js';
import { wireErrorFromCri } from '../remote/grpc-status.js';
import { inPieces } from './in-pieces.js';

type StreamVerb = (request: never, signal: AbortSignal) => AsyncIterable<unknown>;

export function runtimeStreams(runtime: RuntimeService, closing: AbortSignal): UntypedServiceImplementation {
  return streamHandlers(
    {
      getContainerEvents: (_request: v1.GetEventsRequest, signal) => runtime.containerEvents(signal),
      streamPodSandboxes: (request: v1.StreamPodSandboxesRequest, signal) =>
        listed(
          async () => (await runtime.listPodSandbox(request, signal)).items,
          (podSandboxes) => ({ podSandboxes }),
        ),
      streamContainers: (request: v1.StreamContainersRequest, signal) =>
        listed(
          async () => (await runtime.listContainers(request, signal)).containers,
          (containers) => ({ containers }),
        ),
      streamContainerStats: (request: v1.StreamContainerStatsRequest, signal) =>
        listed(
          async () => (await runtime.listContainerStats(request, signal)).stats,
          (containerStats) => ({ containerStats }),
        ),
      streamPodSandboxStats: (request: v1.StreamPodSandboxStatsRequest, signal) =>
        listed(
          async () => (await runtime.listPodSandboxStats(request, signal)).stats,
          (podSandboxStats) => ({ podSandboxStats }),
        ),
      streamPodSandboxMetrics: (request: v1.StreamPodSandboxMetricsRequest, signal) =>
        listed(
          async () => (await runtime.listPodSandboxMetrics(request, signal)).podMetrics,
          (podSandboxMetrics) => ({ podSandboxMetrics }),
        ),
    },
    closing,
  );
}

export function imageStreams(images: ImageService, closing: AbortSignal): UntypedServiceImplementation {
  return streamHandlers(
    {
      streamImages: (request: v1.StreamImagesRequest, signal) =>
        listed(
          async () => (await images.listImages(request, signal)).images,
          (list) => ({ images: list }),
        ),
    },
    closing,
  );
}

async function* listed<T>(
  list: () => Promise<readonly T[] | undefined>,
  message: (items: readonly T[]) => unknown,
): AsyncGenerator {
  for (const piece of inPieces((await list()) ?? [])) yield message(piece);
}

function streamHandlers(
  verbs: Readonly<Record<string, StreamVerb>>,
  closing: AbortSignal,
): UntypedServiceImplementation {
  const handlers: UntypedServiceImplementation = {};
  for (const [name, verb] of Object.entries(verbs)) {
    handlers[name] = (call: ServerWritableStream<unknown, unknown>): void => void send(verb, call, closing);
  }
  return handlers;
}

async function send(
  verb: StreamVerb,
  call: ServerWritableStream<unknown, unknown>,
  closing: AbortSignal,
): Promise<void> {
  using ending = linkSignal(closing);
  call.on('cancelled', () => ending.abort(new Error('the client gave up')));
  try {
    for await (const message of verb(call.request as never, ending.signal)) {
      if (!call.write(message)) await drained(call, ending.signal);
    }
    call.end();
  } catch (err) {
    call.destroy(Object.assign(new Error(), wireErrorFromCri(err)));
  }
}

async function drained(call: ServerWritableStream<unknown, unknown>, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      call.removeListener('drain', done);
      resolve();
    };
    call.once('drain', done);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done, { once: true });
  });
}
