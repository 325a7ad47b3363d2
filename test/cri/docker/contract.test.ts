import { join } from 'node:path';
import { criContractSuite } from '../contract/contract-suite.js';
import { StateKeepingNetwork } from '../state-keeping-network.js';
import { busyboxReference } from '../../support/cri-daemon.js';
import { Dockerd, missingForDocker } from '../../support/dockerd.js';

const cannot = {
  'exec-tty-resize': 'Docker starts the command before it takes the first size',
  'shared-uts': 'Docker cannot share UTS namespaces; the hostname is the same',
};

const missing = missingForDocker();
if (missing !== undefined) console.warn(`SKIPPED Docker runtime contract: needs ${missing}`);
else {
  criContractSuite('docker', async () => {
    const dockerd = await Dockerd.open();
    const docker = await dockerd.connect(new StateKeepingNetwork(join(dockerd.folder, 'network')));
    return {
      runtime: docker.runtime,
      streaming: docker.streaming,
      images: docker.images,
      imageRef: busyboxReference,
      logFolder: join(dockerd.folder, 'logs'),
      cgroupParent: `/${dockerd.name}`,
      cannot,
      [Symbol.asyncDispose]: async () => {
        await docker[Symbol.asyncDispose]();
        await dockerd[Symbol.asyncDispose]();
      },
    };
  });
}
