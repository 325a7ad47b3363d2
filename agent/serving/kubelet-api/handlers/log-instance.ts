import type { ContainerStatus, PodStatus } from '../../../api/index.js';
import { HttpError } from '../http-error.js';

const refused = (message: string): HttpError => new HttpError(400, message);

const waitingWords: Readonly<Record<string, string>> = {
  ErrImagePull: "image can't be pulled",
  ImagePullBackOff: 'trying and failing to pull image',
};

/** The container id (`<runtime>://<id>`) whose log is meant, by the kubelet's rules and in its words (facts 9.2). */
export function logInstance(
  pod: string,
  container: string,
  status: PodStatus | undefined,
  previous: boolean,
): { readonly containerId: string; readonly status: ContainerStatus } {
  const what = `container "${container}" in pod "${pod}"`;
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = status ?? {};
  const own = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find(
    ({ name }) => name === container,
  );
  if (!own) throw refused(`${what} is not available`);
  const last = own.lastState?.terminated;
  const { waiting, running, terminated } = own.state ?? {};
  const chosen = (
    containerId: string | undefined,
    otherwise: string,
  ): { containerId: string; status: ContainerStatus } => {
    if (!containerId) throw refused(otherwise);
    return { containerId, status: own };
  };
  if (previous) return chosen(last?.containerID, `previous terminated ${what} not found`);
  if (running) return chosen(own.containerID, `${what} is waiting to start - no logs yet`);
  if (terminated) return chosen(terminated.containerID || last?.containerID, `${what} is terminated`);
  if (last) return chosen(last.containerID, `${what} is terminated`);
  if (!waiting) throw refused(`${what} is waiting to start - no logs yet`);
  const { reason = '' } = waiting;
  throw refused(`${what} is waiting to start: ${waitingWords[reason] ?? reason}`);
}
