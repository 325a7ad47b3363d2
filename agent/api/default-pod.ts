import type {
  Container,
  EphemeralContainer,
  HTTPGetAction,
  ObjectFieldSelector,
  Pod,
  PodSpec,
  Probe,
  Quantity,
  ResourceRequirements,
  Volume,
} from './generated/types.js';
import {
  aggregateContainerLimits,
  aggregateContainerRequests,
  isPodLevelResource,
  type ResourceList,
} from './pod-resources.js';
import { roundUpToMilli } from './quantity.js';
import { volumeSources } from './volume-sources.js';

const fileMode = 0o644;
const tokenSeconds = 3600;

/** A copy of the pod with everything filled in that the API server fills in on creation. May be applied again. */
export function defaultPod(given: Pod): Pod {
  const pod = structuredClone(given);
  const { spec } = pod;
  if (spec === undefined) return pod;
  defaultSpec(spec);
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    defaultContainer(container);
    requestsFromLimits(container);
    if (spec.hostNetwork === true) {
      for (const port of container.ports ?? []) if (!port.hostPort) port.hostPort = port.containerPort;
    }
  }
  for (const container of spec.ephemeralContainers ?? []) defaultContainer(container);
  if (spec.resources !== undefined) defaultPodResources(pod, spec, spec.resources);
  if (spec.overhead !== undefined) spec.overhead = rounded(spec.overhead);
  return pod;
}

function defaultSpec(spec: PodSpec): void {
  spec.restartPolicy ??= 'Always';
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.terminationGracePeriodSeconds ??= 30;
  // A grace period below zero was valid once and means as little as can be.
  if (spec.terminationGracePeriodSeconds < 0) spec.terminationGracePeriodSeconds = 1;
  spec.securityContext ??= {};
  spec.schedulerName ??= 'default-scheduler';
  spec.enableServiceLinks ??= true;
  // The two are one field under an old and a new name.
  const account = spec.serviceAccountName ?? spec.serviceAccount;
  if (account !== undefined) {
    spec.serviceAccountName = account;
    spec.serviceAccount = account;
  }
}

function defaultContainer(container: Container | EphemeralContainer): void {
  container.imagePullPolicy ??= defaultPullPolicy(container.image ?? '');
  container.terminationMessagePath ||= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  container.resources ??= {};
  const { resources } = container;
  if (resources.limits !== undefined) resources.limits = rounded(resources.limits);
  if (resources.requests !== undefined) resources.requests = rounded(resources.requests);
  for (const port of container.ports ?? []) port.protocol ??= 'TCP';
  for (const variable of container.env ?? []) defaultFieldRef(variable.valueFrom?.fieldRef);
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) defaultProbe(probe);
  defaultHttpGet(container.lifecycle?.postStart?.httpGet);
  defaultHttpGet(container.lifecycle?.preStop?.httpGet);
}

function defaultProbe(probe: Probe | undefined): void {
  if (probe === undefined) return;
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  if (probe.grpc !== undefined) probe.grpc.service ??= '';
  defaultHttpGet(probe.httpGet);
}

function defaultHttpGet(action: HTTPGetAction | undefined): void {
  if (action === undefined) return;
  action.path ||= '/';
  action.scheme ??= 'HTTP';
}

function defaultFieldRef(ref: ObjectFieldSelector | undefined): void {
  if (ref !== undefined) ref.apiVersion ||= 'v1';
}

/** `Always` for `latest`, said or implied: such a tag is expected to move. */
export function defaultPullPolicy(image: string): 'Always' | 'IfNotPresent' {
  const [reference = '', digest] = image.split('@', 2);
  const name = reference.slice(reference.lastIndexOf('/') + 1);
  const tag = name.includes(':') ? name.slice(name.indexOf(':') + 1) : undefined;
  if (tag === 'latest') return 'Always';
  return tag === undefined && digest === undefined && name !== '' ? 'Always' : 'IfNotPresent';
}

function rounded(list: Record<string, Quantity>): Record<string, Quantity> {
  return Object.fromEntries(Object.entries(list).map(([name, amount]) => [name, roundUpToMilli(amount)]));
}

function requestsFromLimits(container: Container): void {
  const { resources } = container;
  if (resources?.limits === undefined) return;
  resources.requests = { ...resources.limits, ...resources.requests };
}

function defaultPodResources(pod: Pod, spec: PodSpec, resources: ResourceRequirements): void {
  const requests: ResourceList = rounded(resources.requests ?? {});
  const limits: ResourceList = rounded(resources.limits ?? {});
  if (Object.keys(requests).length + Object.keys(limits).length === 0) return;
  for (const [name, limit] of Object.entries(aggregateContainerLimits(pod))) {
    if (name.startsWith('hugepages-') && requests[name] === undefined) limits[name] ??= limit;
  }
  if (Object.keys(limits).length > 0) {
    for (const [name, request] of Object.entries(aggregateContainerRequests(pod))) {
      if (name === 'cpu' || name === 'memory') requests[name] ??= request;
    }
    for (const [name, limit] of Object.entries(limits)) if (isPodLevelResource(name)) requests[name] ??= limit;
    resources.limits = limits;
  }
  if (Object.keys(requests).length > 0) resources.requests = requests;
  spec.resources = resources;
}

function defaultVolume(volume: Volume): void {
  if (volumeSources(volume).length === 0) volume.emptyDir = {};
  const { configMap, secret, downwardAPI, projected, image, iscsi, ephemeral, hostPath } = volume;
  if (image !== undefined) image.pullPolicy ??= defaultPullPolicy(image.reference ?? '');
  if (hostPath !== undefined) hostPath.type ??= '';
  if (iscsi !== undefined) iscsi.iscsiInterface ||= 'default';
  if (ephemeral?.volumeClaimTemplate !== undefined) ephemeral.volumeClaimTemplate.spec.volumeMode ??= 'Filesystem';
  for (const source of [configMap, secret, downwardAPI, projected])
    if (source !== undefined) source.defaultMode ??= fileMode;
  for (const file of downwardAPI?.items ?? []) defaultFieldRef(file.fieldRef);
  for (const source of projected?.sources ?? []) {
    if (source.serviceAccountToken !== undefined) source.serviceAccountToken.expirationSeconds ??= tokenSeconds;
    for (const file of source.downwardAPI?.items ?? []) defaultFieldRef(file.fieldRef);
  }
}
