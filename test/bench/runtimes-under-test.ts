import type { CriRuntime } from '../../cri/index.js';
import { sampleImage } from '../agent/agent-world.js';
import { busyboxReference } from '../support/cri-daemon.js';
import { criDaemonKinds, type CriDaemonKind } from '../support/cri-daemons.js';
import { Dockerd, missingForDocker } from '../support/dockerd.js';

/** One runtime the bursts run on, with an image of busybox in it. */
export interface RuntimeUnderTest extends AsyncDisposable {
  /** For `runtimeEndpoint`. */
  readonly endpoint: string;
  readonly image: string;
  /** A client beside the agent's, where the runtime is a daemon that speaks CRI. */
  readonly connect?: (() => Promise<CriRuntime>) | undefined;
}

export interface RuntimeKind {
  readonly name: string;
  /** What of it is not on this machine. */
  readonly missing: string | undefined;
  open(): Promise<RuntimeUnderTest>;
}

const embedded: RuntimeKind = {
  name: 'embedded',
  missing: undefined,
  open: async () => ({ endpoint: 'embedded', image: sampleImage, [Symbol.asyncDispose]: async () => {} }),
};

const docker: RuntimeKind = {
  name: 'Docker',
  missing: missingForDocker(),
  async open() {
    const dockerd = await Dockerd.open();
    return {
      endpoint: `docker://${dockerd.socket}`,
      image: busyboxReference,
      [Symbol.asyncDispose]: () => dockerd[Symbol.asyncDispose](),
    };
  },
};

const speaksCri = (kind: CriDaemonKind): RuntimeKind => ({
  name: kind.name,
  missing: kind.missing,
  async open() {
    const daemon = await kind.open();
    return {
      endpoint: daemon.endpoint,
      image: busyboxReference,
      connect: () => daemon.connect(),
      [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
    };
  },
});

export const runtimeKinds: readonly RuntimeKind[] = [embedded, ...criDaemonKinds.map(speaksCri), docker];
