import { join } from 'node:path';
import { systemClock } from '../../base/clock.js';
import { noRecorder } from '../../base/call-recorder.js';
import type { Logger } from '../../base/log.js';
import { runProgram } from '../../base/run-program.js';
import { bridgeConfList, writeConfList } from '../../cni/index.js';
import { openImageStore } from '../../cri/embedded/images/index.js';
import { demo, demoSubdirs } from './demo-config.js';
import { makeSampleImages } from './sample-images.js';

/** May be repeated. */
export async function writeDemoNetwork(): Promise<void> {
  const { bridge, subnet } = demo;
  const network = bridgeConfList({
    name: 'berth-demo',
    bridge,
    subnets: [subnet],
    dataDir: demoSubdirs.addresses,
    firewall: true,
  });
  await writeConfList(demoSubdirs.cni, '10-berth-demo.conflist', network);
}

/** The images of the samples, unless they are there. */
export async function makeDemoImages(log: Logger, signal: AbortSignal): Promise<void> {
  const { stateDir } = demo;
  // The same folder the agent opens next; one after the other.
  await using store = await openImageStore(
    { dir: join(stateDir, 'images') },
    { run: runProgram, recorder: noRecorder, log, clock: systemClock },
    signal,
  );
  await makeSampleImages(store, join(stateDir, 'work'), { run: runProgram }, signal);
}
