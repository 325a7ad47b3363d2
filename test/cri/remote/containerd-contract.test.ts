import { criContractSuite } from '../contract/contract-suite.js';
import {
  busyboxReference,
  Containerd,
  missingForContainerd,
  type ContainerdFlavour,
} from '../../support/containerd.js';
import { join } from 'node:path';

/** What a runtime of the outside world does otherwise than the contract asks; berth lives with it. */
const both = {
  'exec-tty-resize': 'containerd starts the command before it applies the first size',
  'pod-containers': 'containerd tells them with events only',
  metrics: 'containerd has none',
  'exec-cut': 'containerd cuts each stream at 16 MiB, and an answer with both is longer than a message may be',
  'stats-of-ended': 'containerd fails for containers that have ended and sandboxes that were stopped',
  'image-filter': 'containerd lists all images whatever filter is given',
  'refuse-create-in-stopped': 'containerd creates a container in a stopped sandbox and fails its start',
};
const cannot = {
  '2.x': { ...both, 'cpu-rate': 'containerd 2.x tells rates of containers with their list only' },
  '1.6': {
    ...both,
    events: 'containerd 1.6 has no GetContainerEvents',
    'exec-abort': 'containerd 1.6 lets a command run on whose client is gone',
  },
};

for (const flavour of ['2.x', '1.6'] as const satisfies readonly ContainerdFlavour[]) {
  const missing = missingForContainerd(flavour);
  if (missing !== undefined) {
    console.warn(`SKIPPED remote runtime on containerd ${flavour}: needs ${missing}`);
    continue;
  }
  criContractSuite(`containerd ${flavour} over gRPC`, async () => {
    const containerd = await Containerd.open(flavour);
    const remote = await containerd.connect();
    return {
      runtime: remote.runtime,
      streaming: remote.streaming,
      images: remote.images,
      imageRef: busyboxReference,
      logFolder: join(containerd.folder, 'logs'),
      cgroupParent: `/${containerd.name}`,
      cannot: cannot[flavour],
      [Symbol.asyncDispose]: async () => {
        await remote[Symbol.asyncDispose]();
        await containerd[Symbol.asyncDispose]();
      },
    };
  });
}
