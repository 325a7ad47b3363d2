import { Containerd, missingForContainerd, type ContainerdFlavour } from './containerd.js';
import type { CriDaemon } from './cri-daemon.js';
import { Crio, missingForCrio } from './crio.js';

export interface CriDaemonKind {
  readonly name: string;
  /** What of it is not on this machine. */
  readonly missing: string | undefined;
  /** `insecureRegistry`: host and port of one that is spoken to without TLS. */
  open(insecureRegistry?: string): Promise<CriDaemon>;
}

const containerd = (flavour: ContainerdFlavour): CriDaemonKind => ({
  name: `containerd ${flavour}`,
  missing: missingForContainerd(flavour),
  // It takes every registry on loopback for one without TLS.
  open: async () => await Containerd.open(flavour),
});

/** Every daemon the suites know that speaks CRI. */
export const criDaemonKinds: readonly CriDaemonKind[] = [
  containerd('2.x'),
  containerd('1.6'),
  { name: 'CRI-O', missing: missingForCrio(), open: async (insecureRegistry) => await Crio.open({ insecureRegistry }) },
];
