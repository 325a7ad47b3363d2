import { join } from 'node:path';
import { noRecorder } from '../../../base/call-recorder.js';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { criError, type CriRuntime, type ImageService } from '../../../cri/index.js';
import { openRemoteRuntime } from '../../../cri/remote/index.js';
import { serveCri } from '../../../cri/serve/index.js';
import { criContractSuite } from '../contract/contract-suite.js';
import { busyboxReference } from '../embedded/busybox-image.js';
import { missingComponents, RuntimeWorld } from '../embedded/runtime-world.js';

const { signal } = new AbortController();
const missing = missingComponents();

/** The suite asks for no image. */
const noImages = new Proxy({} as ImageService, {
  get: () => async () => Promise.reject(criError('unimplemented', 'no images here')),
});

if (missing !== '') console.warn(`SKIPPED embedded runtime over gRPC contract: ${missing}`);
else {
  criContractSuite('embedded over gRPC', async () => {
    const world = await RuntimeWorld.open();
    const runtime: CriRuntime = {
      runtime: world.runtime,
      streaming: world.streaming,
      images: noImages,
      [Symbol.asyncDispose]: async () => {},
    };
    const server = await serveCri(
      runtime,
      { socketPath: join(world.folder, 'cri.sock') },
      { log: silentLogger },
      signal,
    );
    const deps = { log: silentLogger, clock: systemClock, recorder: noRecorder };
    const remote = await openRemoteRuntime({ endpoint: server.endpoint }, deps, signal);
    return {
      runtime: remote.runtime,
      streaming: remote.streaming,
      imageRef: busyboxReference,
      logFolder: world.logFolder,
      cgroupParent: world.cgroupParent,
      [Symbol.asyncDispose]: async () => {
        await remote[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
        await world[Symbol.asyncDispose]();
      },
    };
  });
}
