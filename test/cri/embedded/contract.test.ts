import { criContractSuite } from '../contract/contract-suite.js';
import { busyboxReference } from './busybox-image.js';
import { missingComponents, RuntimeWorld } from './runtime-world.js';

const missing = missingComponents();
if (missing !== '') console.warn(`SKIPPED embedded runtime contract: ${missing}`);
else {
  criContractSuite('embedded', async () => {
    const world = await RuntimeWorld.open();
    return {
      runtime: world.runtime,
      streaming: world.streaming,
      imageRef: busyboxReference,
      logFolder: world.logFolder,
      cgroupParent: world.cgroupParent,
      [Symbol.asyncDispose]: async () => await world[Symbol.asyncDispose](),
    };
  });
}
