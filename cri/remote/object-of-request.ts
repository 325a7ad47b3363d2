import type * as v1 from '../../proto/generated/cri-v1.js';

/** What requests name their object by. */
interface Naming {
  readonly containerId?: string | undefined;
  readonly podSandboxId?: string | undefined;
  readonly config?: { readonly metadata?: v1.PodSandboxMetadata | v1.ContainerMetadata | null | undefined } | null;
  readonly image?: v1.ImageSpec | null | undefined;
}

/** As long as crictl prints them, and takes them. */
const short = (id: string): string => id.slice(0, 13);

/** What a request is about, for the words of a failure; empty for one that is about everything. */
export function objectOf(request: unknown): string {
  const { containerId, podSandboxId, config, image } = (request ?? {}) as Naming;
  const { name } = config?.metadata ?? {};
  const namespace = config?.metadata && 'namespace' in config.metadata ? config.metadata.namespace : undefined;
  if (containerId) return `container ${short(containerId)}`;
  if (podSandboxId)
    return name ? `container ${name} in sandbox ${short(podSandboxId)}` : `sandbox ${short(podSandboxId)}`;
  if (name) return `pod ${namespace ?? ''}/${name}`;
  return image?.image ? `image ${image.image}` : '';
}
