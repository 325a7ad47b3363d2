import type * as v1 from '../../proto/generated/cri-v1.js';

/**
 * Names and labels under which pods were found in Docker since the kubelet spoke to it itself; tools know them. Docker has no
 * annotations: they are labels with a prefix.
 */
export const dockerLabels = {
  type: 'io.kubernetes.docker.type',
  sandboxId: 'io.kubernetes.sandbox.id',
  logPath: 'io.kubernetes.container.logpath',
  /** Ours: what only the request knew, in JSON. */
  config: 'io.berth.cri.config',
} as const;

export const sandboxType = 'podsandbox';
export const containerType = 'container';
const annotationPrefix = 'annotation.';

/** Labels that would be taken for an annotation or for one of ours under their own names; absent for none. */
interface HiddenLabels {
  readonly hiddenLabels?: Readonly<Record<string, string>> | undefined;
}

export interface StoredSandboxConfig {
  readonly metadata: v1.PodSandboxMetadata;
  readonly hostname: string;
  readonly logDirectory: string;
  readonly runtimeHandler: string;
  readonly namespaces: v1.NamespaceOption;
  /** Absent in what older versions stored. */
  readonly privileged?: boolean | undefined;
}

export interface StoredContainerConfig {
  readonly metadata: v1.ContainerMetadata;
  readonly image: v1.ImageSpec;
  readonly mounts: readonly v1.Mount[];
  /** Absent for none, and in what older versions stored. */
  readonly hugepages?: readonly v1.HugepageLimit[] | undefined;
  readonly unified?: Readonly<Record<string, string>> | undefined;
}

export function sandboxName({ name = '', namespace = '', uid = '', attempt = 0 }: v1.PodSandboxMetadata): string {
  return `k8s_POD_${name}_${namespace}_${uid}_${attempt}`;
}

export function containerName(container: v1.ContainerMetadata, pod: v1.PodSandboxMetadata): string {
  const { name = '', attempt = 0 } = container;
  return `k8s_${name}_${pod.name ?? ''}_${pod.namespace ?? ''}_${pod.uid ?? ''}_${attempt}`;
}

const ownLabels: ReadonlySet<string> = new Set(Object.values(dockerLabels));
const isHidden = (key: string): boolean => key.startsWith(annotationPrefix) || ownLabels.has(key);

/** Labels and annotations of any name, what is `stored`, and labels of `own` by which tools find the container. */
export function toDockerLabels(
  { labels = {}, annotations = {} }: Pick<v1.ContainerConfig, 'labels' | 'annotations'>,
  own: Readonly<Record<string, string>>,
  stored: StoredSandboxConfig | StoredContainerConfig,
): Record<string, string> {
  const given = Object.entries(labels);
  const hidden = given.filter(([key]) => isHidden(key));
  const prefixed = Object.entries(annotations).map(([key, value]) => [`${annotationPrefix}${key}`, value] as const);
  const config = { ...stored, ...(hidden.length > 0 && { hiddenLabels: Object.fromEntries(hidden) }) };
  return {
    ...Object.fromEntries(given.filter(([key]) => !isHidden(key))),
    ...Object.fromEntries(prefixed),
    ...own,
    [dockerLabels.config]: JSON.stringify(config),
  };
}

export function fromDockerLabels(all: Readonly<Record<string, string>>): {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
} {
  const labels: Record<string, string> = { ...storedConfig<HiddenLabels>(all)?.hiddenLabels };
  const annotations: Record<string, string> = {};
  for (const [key, value] of Object.entries(all)) {
    if (key.startsWith(annotationPrefix)) annotations[key.slice(annotationPrefix.length)] = value;
    else if (!ownLabels.has(key)) labels[key] = value;
  }
  return { labels, annotations };
}

/** Undefined for a container that someone else made or changed. */
export function storedConfig<T>(labels: Readonly<Record<string, string>>): T | undefined {
  try {
    return JSON.parse(labels[dockerLabels.config] ?? '') as T;
  } catch {
    return undefined;
  }
}

export function hasLabels(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>> | undefined,
): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);
}
