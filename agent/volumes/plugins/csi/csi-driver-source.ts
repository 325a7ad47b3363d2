import type { CsiDriver } from '../../../../csi/index.js';

/** The CSI drivers of this node, as their volumes need them. */
export interface CsiDriverSource {
  /** Throws with what is known about a driver that cannot be called. */
  get(name: string): CsiDriver;
  /** A volume could not be attached because the driver has no room for it on this node: what it said of its limit is old. */
  noRoom(name: string): void;
}
