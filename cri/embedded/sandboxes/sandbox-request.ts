import { hostname } from 'node:os';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { checkRunAs } from '../../contract/check-security.js';
import { checkSysctls } from '../../contract/check-sysctls.js';
import { criError } from '../../contract/cri-error.js';
import type { SandboxNetworkRequest, SandboxPortMapping } from '../../contract/sandbox-network.js';
import { newId } from '../containers/container-request.js';
import type { RuntimeContext } from '../context.js';
import { podCgroup } from '../oci-spec/cgroup-path.js';
import type { SandboxRecord } from '../state/records.js';
import { userNamespaceOf } from './user-namespace-request.js';

/** Checks what can be checked without touching anything and writes down what will be made. */
export function sandboxRecord(context: RuntimeContext, request: v1.RunPodSandboxRequest): SandboxRecord {
  const config = request.config ?? {};
  const { name = '', namespace = '', uid = '', attempt = 0 } = config.metadata ?? {};
  if (name === '' || namespace === '' || uid === '') {
    throw criError('invalid-argument', 'run sandbox: metadata needs name, namespace and uid');
  }
  const { logDirectory = '' } = config;
  if (logDirectory !== '' && !logDirectory.startsWith('/')) {
    throw criError('invalid-argument', `run sandbox ${namespace}/${name}: log_directory ${logDirectory} is relative`);
  }
  checkRunAs(`run sandbox ${namespace}/${name}`, config.linux?.securityContext);
  context.ociRuntime(request.runtimeHandler ?? '');
  const options = config.linux?.securityContext?.namespaceOptions;
  const userNamespace = userNamespaceOf(context, request, `run sandbox ${namespace}/${name}`);
  const network = options?.network === 'NODE' ? 'NODE' : 'POD';
  const ipc = options?.ipc === 'NODE' ? 'NODE' : 'POD';
  const sysctls = config.linux?.sysctls ?? {};
  checkSysctls(`run sandbox ${namespace}/${name}`, sysctls, { network, ipc });
  return {
    id: newId(),
    metadata: { name, namespace, uid, attempt },
    createdAtMs: context.deps.clock.now(),
    bootId: context.deps.bootId,
    hostname: sandboxHostname(config, network),
    labels: config.labels ?? {},
    annotations: config.annotations ?? {},
    logDirectory,
    runtimeHandler: request.runtimeHandler ?? '',
    cgroupParent: config.linux?.cgroupParent ?? '',
    network,
    ipc,
    pid: options?.pid === 'NODE' ? 'NODE' : options?.pid === 'CONTAINER' ? 'CONTAINER' : 'POD',
    ...(userNamespace === undefined ? {} : { userNamespace }),
    sysctls,
    privileged: config.linux?.securityContext?.privileged ?? false,
  };
}

/** The kernel's limit. */
const longestHostname = 64;

/** A request may leave it out on the host's network only; others than the kubelet do so elsewhere too. */
function sandboxHostname(config: v1.PodSandboxConfig, network: 'POD' | 'NODE'): string {
  const { hostname: asked = '', metadata } = config;
  if (Buffer.byteLength(asked) > longestHostname) {
    throw criError(
      'invalid-argument',
      `run sandbox ${metadata?.name}: hostname ${asked}: longer than ${longestHostname}`,
    );
  }
  if (asked !== '') return asked;
  return network === 'NODE' ? hostname() : (metadata?.name ?? '').slice(0, longestHostname);
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
