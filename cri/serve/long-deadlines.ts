import { ServerInterceptingCall, status, type ServerInterceptor } from '@grpc/grpc-js';

/** An honest deadline of a millisecond may be over when it is looked at. */
const slackMs = 1000;

/**
 * A deadline of more than 24.8 days (a kubelet's for a pod with as long a grace) overflows in the library: it would be over before the call
 * began. No client asks for one in the past, and by that such a call is known; the library's timer is not heard then. The client keeps
 * the time itself. The other half of the overflow (49.7 to 74.5 days, and so on) cannot be told from a shorter deadline, and is one.
 */
export const longDeadlines: ServerInterceptor = (_method, call) => {
  if (Number(call.getDeadline()) < Date.now() - slackMs) {
    const send = call.sendStatus.bind(call);
    call.sendStatus = (end) => {
      if (end.code !== status.DEADLINE_EXCEEDED || end.details !== timerWords) send(end);
    };
  }
  return new ServerInterceptingCall(call);
};

const timerWords = 'Deadline exceeded';
