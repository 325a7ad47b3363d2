import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { criContractSuite } from '../contract/contract-suite.js';
import { busyboxReference } from '../../support/cri-daemon.js';
import { Crio, missingForCrio } from '../../support/crio.js';

/** What it does otherwise than the contract asks; berth lives with it. */
const cannot = {
  'create-unfit': 'CRI-O looks for the program when it creates, and makes no container without it',
  'cpu-rate': 'CRI-O tells none of a container that is asked for by itself',
  metrics: 'CRI-O tells what its configuration asks for, which is nothing by default',
  'pod-containers-order': 'CRI-O tells them in the order it happens to have them in',
  'refuse-sysctl': 'CRI-O leaves a sysctl of the whole machine out',
  'refuse-unified': 'CRI-O leaves unified resources out on cgroup v1',
  'sandbox-events': 'CRI-O does not tell when a sandbox is removed',
  'refuse-taken-name': 'CRI-O answers a second create of the same name with what is there',
  'no-log': 'CRI-O keeps one in a folder of its own',
  'stats-of-ended': 'CRI-O answers nothing for a container that has ended',
  'kill-at-once': 'CRI-O sends the stop signal first all the same',
  'late-privileged': 'CRI-O goes by the sandbox as it was made',
  'two-starts': 'CRI-O removes a container whose second start fails',
  'exec-abort': 'CRI-O lets a command run on whose client is gone',
  'exec-start-failure': 'CRI-O answers 255, and says why on the output',
  'refuse-unstarted': 'CRI-O runs commands in a container that was created and not started, and reopens its log',
  ...(!mayLowerOomScore() && {
    'shared-pid': 'CRI-O gives the init of such a sandbox an oom_score_adj of -998, which this machine refuses',
  }),
};

function mayLowerOomScore(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> 24n) & 1n) === 1n;
}

const missing = missingForCrio();
if (missing !== undefined) console.warn(`SKIPPED remote runtime on CRI-O: needs ${missing}`);

describe.skipIf(missing !== undefined)('where CRI-O is', () => {
  criContractSuite('CRI-O over gRPC', async () => {
    const crio = await Crio.open();
    const remote = await crio.connect();
    return {
      runtime: remote.runtime,
      streaming: remote.streaming,
      images: remote.images,
      imageRef: busyboxReference,
      logFolder: join(crio.folder, 'logs'),
      cgroupParent: `/${crio.name}`,
      cannot,
      [Symbol.asyncDispose]: async () => {
        await remote[Symbol.asyncDispose]();
        await crio[Symbol.asyncDispose]();
      },
    };
  });
});
