import type { CallSubject } from '../../base/call-recorder.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { criLabels } from '../contract/labels.js';

export interface RecordedRequest {
  readonly subject: CallSubject;
  readonly request: unknown;
}

export function recordSandboxConfig(request: v1.RunPodSandboxRequest): RecordedRequest {
  return { subject: podSubject(request.config), request };
}

/** Values of the environment may come from Secrets: only the names are kept. */
export function recordContainerConfig(request: v1.CreateContainerRequest): RecordedRequest {
  const { config } = request;
  const envs = (config?.envs ?? []).map(({ key }) => ({ key }));
  return {
    subject: {
      ...podSubject(request.sandboxConfig),
      container: config?.metadata?.name,
      object: request.podSandboxId,
    },
    request: { podSandboxId: request.podSandboxId, config: { ...config, envs } },
  };
}

export function recordPull(request: v1.PullImageRequest): RecordedRequest {
  return {
    subject: { ...podSubject(request.sandboxConfig), object: request.image?.image },
    request: { image: request.image, ...(request.auth && { auth: { serverAddress: request.auth.serverAddress } }) },
  };
}

export function recordObject(object: string | undefined, request: unknown): RecordedRequest {
  return { subject: { object }, request };
}

function podSubject(config: v1.PodSandboxConfig | null | undefined): CallSubject {
  return {
    podUid: config?.metadata?.uid ?? config?.labels?.[criLabels.podUid],
    podNamespace: config?.metadata?.namespace,
    podName: config?.metadata?.name,
  };
}
