import { hostname } from 'node:os';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import type { SandboxNetworkRequest, SandboxPortMapping } from '../../contract/sandbox-network.js';
import { newId } from '../containers/container-request.js';
import type { RuntimeContext } from '../context.js';
import { podCgroup } from '../oci-spec/cgroup-path.js';
import type { SandboxRecord } from '../state/records.js';

/** Checks what can be checked without touching anything and writes down what will be made. */
export function sandboxRecord(context: RuntimeContext, request: v1.RunPodSandboxRequest): SandboxRecord {
  const config = request.config ?? {};
  const { name = '', namespace = '', uid = '', attempt = 0 } = config.metadata ?? {};
  if (name === '' || namespace === '' || uid === '') {
    throw criError('invalid-argument', 'run sandbox: metadata needs name, namespace and uid');
  }
  context.ociRuntime(request.runtimeHandler ?? '');
  const options = config.linux?.securityContext?.namespaceOptions;
  if (options?.usernsOptions?.mode === 'POD') {
    throw criError('unimplemented', `run sandbox ${namespace}/${name}: user namespaces are not supported`);
  }
  const network = options?.network === 'NODE' ? 'NODE' : 'POD';
  return {
    id: newId(),
    metadata: { name, namespace, uid, attempt },
    createdAtMs: context.deps.clock.now(),
    bootId: context.deps.bootId,
    hostname: config.hostname || (network === 'NODE' ? hostname() : name),
    labels: config.labels ?? {},
    annotations: config.annotations ?? {},
    logDirectory: config.logDirectory ?? '',
    runtimeHandler: request.runtimeHandler ?? '',
    cgroupParent: config.linux?.cgroupParent ?? '',
    network,
    ipc: options?.ipc === 'NODE' ? 'NODE' : 'POD',
    pid: options?.pid === 'NODE' ? 'NODE' : options?.pid === 'CONTAINER' ? 'CONTAINER' : 'POD',
    sysctls: config.linux?.sysctls ?? {},
    privileged: config.linux?.securityContext?.privileged ?? false,
  };
}

export function networkRequest(
  context: RuntimeContext,
  record: SandboxRecord,
  config: v1.PodSandboxConfig,
): SandboxNetworkRequest {
  const { servers = [], searches = [], options = [] } = config.dnsConfig ?? {};
  return {
    sandboxId: record.id,
    netnsPath: context.layout.namespace(record.id, 'net'),
    pod: record.metadata,
    portMappings: (config.portMappings ?? []).flatMap(portMapping),
    annotations: record.annotations,
    dns: { servers, searches, options },
    cgroupPath: podCgroup(context.options.cgroupDriver, record.cgroupParent),
  };
}

function portMapping(mapping: v1.PortMapping): SandboxPortMapping[] {
  const { protocol = 'TCP', containerPort = 0, hostPort = 0, hostIp = '' } = mapping;
  if (hostPort === 0) return [];
  const words = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const;
  return [{ protocol: words[protocol], containerPort, hostPort, hostIp }];
}

export function sandboxNameKey(record: SandboxRecord): string {
  const { namespace, name, uid, attempt } = record.metadata;
  return `${namespace}/${name}/${uid}/${attempt}`;
}
