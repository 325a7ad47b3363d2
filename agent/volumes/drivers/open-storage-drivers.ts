import type { CallRecorder } from '../../../base/call-recorder.js';
import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import { CsiDrivers } from '../../../csi/index.js';
import type { ControlPlane } from '../../controlplane/control-plane.js';
import { Lifetimes } from '../../lifetimes.js';
import { CsiNodes } from './csi-nodes.js';
import { VolumeLimits } from './volume-limits.js';

export interface StorageDriversDeps {
  readonly recorder: CallRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly controlPlane: Pick<ControlPlane, 'get' | 'watch' | 'writeCsiNode' | 'markNode'>;
}

export interface StorageDrivers extends AsyncDisposable {
  readonly csi: CsiDrivers;
  /** What drivers want known of this node is written again: the node object was made anew. */
  announceAgain(signal: AbortSignal): Promise<void>;
}

/** The CSI drivers of this node, and what the control plane is told of them while they come, change and go. */
export function openStorageDrivers(nodeName: string, deps: StorageDriversDeps): StorageDrivers {
  const { recorder, clock, log, controlPlane } = deps;
  const owned = new Lifetimes();
  const csiNodes = new CsiNodes(nodeName, { controlPlane });
  const csi = owned.use(
    new CsiDrivers({}, { recorder, clock, log, announce: (driver, asked) => csiNodes.announce(driver, asked) }),
  );
  const limits = owned.use(
    new VolumeLimits({
      ...{ clock, log, controlPlane },
      refresh: (name, asked) => csi.refresh(name, asked),
      announce: (driver, asked) => csiNodes.announce(driver, asked),
    }),
  );
  const notFull = csi.onNoRoom((name) => void limits.askNow(name));
  const stop = new AbortController();
  const unlisten = csi.onChange((driver) => {
    const { name, state } = driver;
    limits.driverChanged(driver);
    if (state.kind !== 'gone' || stop.signal.aborted) return;
    csiNodes.withdraw(name, stop.signal).catch((err: unknown) => {
      if (!stop.signal.aborted) log.warn({ driver: name, err: errorText(err) }, 'CSI driver still stands in CSINode');
    });
  });
  return {
    csi,
    async announceAgain(signal) {
      for (const driver of csi.list()) {
        try {
          await csiNodes.announce(driver, signal);
        } catch (err) {
          signal.throwIfAborted();
          log.warn({ driver: driver.name, err: errorText(err) }, 'CSI driver cannot be made known again');
        }
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException('the agent stops', 'AbortError'));
      unlisten();
      notFull();
      await owned[Symbol.asyncDispose]();
    },
  };
}
