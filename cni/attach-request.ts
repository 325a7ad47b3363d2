import { CniError } from './failure.js';
import type { JsonObject } from './json.js';

/** Which pod an attachment is for: goes to the plugins as `K8S_POD_*` and to the call recorder. */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface PortMapping {
  /** 0 or absent: the port is only declared, nothing is mapped. */
  readonly hostPort: number;
  readonly containerPort: number;
  /** `tcp`, `udp` or `sctp` in any case. */
  readonly protocol: string;
  readonly hostIP?: string | undefined;
}

/** Rates in bits per second, bursts in bits. */
export interface Bandwidth {
  readonly ingressRate?: number | undefined;
  readonly ingressBurst?: number | undefined;
  readonly egressRate?: number | undefined;
  readonly egressBurst?: number | undefined;
}

export interface IpRange {
  readonly subnet: string;
  readonly rangeStart?: string | undefined;
  readonly rangeEnd?: string | undefined;
  readonly gateway?: string | undefined;
}

/** Arguments for plugins that declare the capability of the same name; the conventions of the CNI project. */
export interface CapabilityArgs {
  readonly portMappings?: readonly PortMapping[] | undefined;
  readonly bandwidth?: Bandwidth | undefined;
  readonly ipRanges?: ReadonlyArray<readonly IpRange[]> | undefined;
  readonly ips?: readonly string[] | undefined;
  readonly mac?: string | undefined;
  readonly dns?:
    | {
        readonly servers?: readonly string[] | undefined;
        readonly searches?: readonly string[] | undefined;
        readonly options?: readonly string[] | undefined;
      }
    | undefined;
  readonly infinibandGUID?: string | undefined;
  readonly deviceID?: string | undefined;
  readonly aliases?: readonly string[] | undefined;
  readonly cgroupPath?: string | undefined;
  /** Capabilities of other conventions, such as `io.kubernetes.cri.pod-annotations`. */
  readonly [other: string]: unknown;
}

export interface AttachRequest {
  /** Letters, digits, `_`, `.`, `-`; the sandbox id of the runtime. */
  readonly containerId: string;
  /** Path of the network namespace to attach. */
  readonly netns: string;
  /** Name of the interface inside; `eth0` when absent. With `containerId` it names the attachment. */
  readonly ifName?: string | undefined;
  /** Name of the network; the default network when absent. */
  readonly network?: string | undefined;
  readonly pod?: PodIdentity | undefined;
  /** More pairs for `CNI_ARGS`. */
  readonly args?: Readonly<Record<string, string>> | undefined;
  readonly capabilities?: CapabilityArgs | undefined;
}

export const defaultIfName = 'eth0';

/** Refuses what the protocol or the kernel would refuse later, or what would be a different call on the wire. */
export function checkAttachRequest(request: AttachRequest): void {
  checkContainerId(request.containerId);
  checkIfName(request.ifName ?? defaultIfName);
  if (request.netns === '' || request.netns.includes('\0')) throw invalid('netns', request.netns, 'is not a path');
  for (const [key, value] of Object.entries(request.args ?? {})) {
    if (!/^[^=;\0]+$/.test(key) || /[;\0]/.test(value)) {
      throw invalid('args', `${key}=${value}`, 'cannot be carried in CNI_ARGS');
    }
  }
}

export function checkContainerId(id: string): void {
  // It becomes part of a file name, here and in host-local; 200 leaves room for what is added to it.
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(id) || id.length > 200) {
    throw invalid('containerId', id, 'is not 1 to 200 letters, digits, "_", "." and "-"');
  }
}

export function checkIfName(name: string): void {
  // The kernel's own rules (dev_valid_name): at most 15 bytes, no slash, colon or white space.
  if (!/^[^/:\s\0]+$/.test(name) || Buffer.byteLength(name) > 15 || name === '.' || name === '..') {
    throw invalid('ifName', name, 'cannot be the name of an interface');
  }
}

function invalid(field: string, value: string, why: string): CniError {
  return new CniError(`attach: ${field} ${JSON.stringify(value)} ${why}`, { code: 'invalid-request', field });
}

/**
 * The capabilities as they go on the wire: ports that map nothing and empty values are left out, so that a plugin which
 * refuses them is not bothered for a pod that asks for nothing.
 */
export function wireCapabilities(args: CapabilityArgs | undefined): JsonObject {
  const wire: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(args ?? {})) {
    const encoded = name === 'portMappings' ? wirePorts(value as readonly PortMapping[]) : value;
    if (!isEmpty(encoded)) wire[name] = encoded;
  }
  return wire;
}

function wirePorts(ports: readonly PortMapping[] | undefined): JsonObject[] {
  return (ports ?? [])
    .filter((port) => port.hostPort > 0)
    .map(({ hostPort, containerPort, protocol, hostIP }) => ({
      hostPort,
      containerPort,
      protocol: protocol.toLowerCase(),
      ...(hostIP === undefined || hostIP === '' ? {} : { hostIP }),
    }));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.values(value).every((v) => v === undefined);
}

/** `CNI_ARGS` as Kubernetes runtimes fill it; `IgnoreUnknown` keeps plugins that parse it strictly from failing on the rest. */
export function wireArgs(request: AttachRequest): string {
  const { pod } = request;
  const pairs: Array<readonly [string, string]> = [['IgnoreUnknown', '1']];
  if (pod !== undefined) {
    pairs.push(['K8S_POD_NAMESPACE', pod.namespace], ['K8S_POD_NAME', pod.name]);
    pairs.push(['K8S_POD_INFRA_CONTAINER_ID', request.containerId], ['K8S_POD_UID', pod.uid]);
  }
  pairs.push(...Object.entries(request.args ?? {}));
  return pairs.map(([key, value]) => `${key}=${value}`).join(';');
}
