import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { Cni } from '../../cni/index.js';
import type { ApplyCdi } from '../../cri/embedded/index.js';
import type { ImageStore } from '../../cri/embedded/images/index.js';
import type { CriRuntime } from '../../cri/index.js';
import type { FaultPoint } from '../fault-point.js';

export interface OpenRuntimeDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly clock: Clock;
  readonly bootId: string;
  /** Resolves CDI names for the embedded runtime; the others do it themselves. */
  readonly applyCdi?: ApplyCdi | undefined;
  readonly at?: FaultPoint | undefined;
}

export interface OpenedRuntime extends AsyncDisposable {
  readonly cri: CriRuntime;
  /** Absent where the runtime calls CNI itself. */
  readonly cni: Cni | undefined;
  /** Absent where the runtime keeps its images itself. */
  readonly imageStore: ImageStore | undefined;
  /** Makes the runtime's figures of writable layers those of now; absent where that cannot be asked of it. */
  readonly countLayers?: (() => Promise<void>) | undefined;
}
