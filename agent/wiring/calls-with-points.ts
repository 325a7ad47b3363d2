import type { CallRecorder } from '../../base/call-recorder.js';
import type { FaultPoint } from '../fault-point.js';

/** Before and after each call of a storage driver is a point where tests end the process. */
export function callsWithPoints(recorder: CallRecorder, at: FaultPoint | undefined): CallRecorder {
  if (!at) return recorder;
  return {
    begin(call) {
      const end = recorder.begin(call);
      const name = `${call.interface} ${call.verb}`;
      const isStorage = call.interface === 'csi' || call.interface === 'flexvolume';
      if (isStorage) void at(`before ${name}`);
      return (outcome) => {
        end(outcome);
        if (isStorage) void at(`after ${name}`);
      };
    },
  };
}
