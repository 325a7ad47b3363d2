import { allContainers, type Container, type ContainerKind, type ContainerStatus, type Pod } from '../api/index.js';
import { shouldRestart, restartPolicyOf } from './restart-policy.js';
import type { ContainerNotes, DesiredPod, ObservedContainer, ObservedSandbox, PodFacts } from './pod-facts.js';
import type { StepOf } from './steps.js';

/** One container of the spec with all that is known of it. */
export interface ContainerView {
  readonly name: string;
  readonly kind: ContainerKind;
  readonly spec: Container;
  /** Newest first, of all sandboxes. */
  readonly instances: readonly ObservedContainer[];
  readonly latest: ObservedContainer | undefined;
  readonly notes: ContainerNotes;
  /** Its `start-container` is under way: what runs already may still be in its postStart hook. */
  readonly starting: StepOf<'start-container'> | undefined;
  /** As last reported, for what the runtime forgot. */
  readonly reported: ContainerStatus | undefined;
}

export type SandboxState =
  | { readonly kind: 'ok'; readonly sandbox: ObservedSandbox }
  /** None, or one that cannot be used: `attempt` is the number of the one to make. */
  | { readonly kind: 'none' | 'changed'; readonly attempt: number; readonly why: string }
  | { readonly kind: 'creating' };

/** Desired pod and facts put side by side; built once for the plan and once for the status of a pass. */
export interface PodView {
  readonly desired: DesiredPod;
  readonly pod: Pod;
  readonly facts: PodFacts;
  readonly now: number;
  readonly sandbox: SandboxState;
  /** Init containers and sidecars, in order. */
  readonly init: readonly ContainerView[];
  readonly regular: readonly ContainerView[];
  readonly ephemeral: readonly ContainerView[];
  /** All of these. */
  readonly containers: readonly ContainerView[];
  /** Containers in the runtime that the spec does not name. */
  readonly strangers: readonly ObservedContainer[];
}

/** How a container ended. */
export interface ContainerEnd {
  readonly exitCode: number;
  readonly endedAt: number;
}

/** The exit code that stands for an end nobody saw. */
export const unknownExitCode = 137;

export const isHostNetwork = (pod: Pod): boolean => pod.spec?.hostNetwork === true;

export function podView(desired: DesiredPod, facts: PodFacts, now: number): PodView {
  const { pod } = desired;
  const byName = new Map<string, ObservedContainer[]>();
  for (const container of facts.runtime.containers) {
    const instances = byName.get(container.name);
    if (instances) instances.push(container);
    else byName.set(container.name, [container]);
  }
  const containers = allContainers(pod).map(({ kind, container }): ContainerView => {
    const { name } = container;
    const notes = facts.notes.get(name) ?? {};
    const instances = (byName.get(name) ?? []).map((instance) => asItWas(instance, notes));
    byName.delete(name);
    const starting = facts.inFlight.get(`start-container/${name}`)?.step;
    return {
      name,
      kind,
      spec: container as Container,
      instances,
      latest: instances[0],
      notes,
      starting: starting?.kind === 'start-container' ? starting : undefined,
      reported: reportedStatus(desired, facts, kind, name),
    };
  });
  return {
    desired,
    pod,
    facts,
    now,
    sandbox: sandboxState(pod, facts),
    init: containers.filter(({ kind }) => kind === 'init' || kind === 'sidecar'),
    regular: containers.filter(({ kind }) => kind === 'regular'),
    ephemeral: containers.filter(({ kind }) => kind === 'ephemeral'),
    containers,
    strangers: [...byName.values()].flat(),
  };
}

/** Removing what was made and never started ends it on the way; it has still not run. */
function asItWas(instance: ObservedContainer, { neverRan }: ContainerNotes): ObservedContainer {
  return instance.id === neverRan && instance.state === 'exited' ? { ...instance, state: 'created' } : instance;
}

function reportedStatus(
  desired: DesiredPod,
  facts: PodFacts,
  kind: ContainerKind,
  name: string,
): ContainerStatus | undefined {
  const status = facts.lastReported ?? desired.previousStatus;
  const list =
    kind === 'regular'
      ? status?.containerStatuses
      : kind === 'ephemeral'
        ? status?.ephemeralContainerStatuses
        : status?.initContainerStatuses;
  return list?.find((each) => each.name === name);
}

function sandboxState(pod: Pod, facts: PodFacts): SandboxState {
  // What a creation under way shows is not finished: it is judged when it has ended.
  if (facts.inFlight.has('create-sandbox')) return { kind: 'creating' };
  const { sandboxes } = facts.runtime;
  const newest = sandboxes[0];
  if (!newest) return { kind: 'none', attempt: 0, why: 'there is none' };
  const why = whyChanged(pod, newest, sandboxes);
  return why === undefined ? { kind: 'ok', sandbox: newest } : { kind: 'changed', attempt: newest.attempt + 1, why };
}

function whyChanged(pod: Pod, newest: ObservedSandbox, all: readonly ObservedSandbox[]): string | undefined {
  if (all.filter(({ ready }) => ready).length > 1) return 'there is more than one';
  if (!newest.ready) return 'it is not ready';
  if (newest.hostNetwork !== isHostNetwork(pod)) return 'its network mode is another';
  if (!newest.hostNetwork && newest.ips.length === 0) return 'it has no address';
  return undefined;
}

/** True when the sandbox holds nothing any more: neither processes nor network. */
export function isStopped(facts: PodFacts, sandbox: ObservedSandbox): boolean {
  if (sandbox.ready) return false;
  return facts.stoppedSandboxes?.has(sandbox.id) ?? true;
}

export function isKilling(facts: PodFacts, instance: ObservedContainer): boolean {
  return facts.inFlight.has(`kill-container/${instance.id}`);
}

/** True for what may still run: a container in an unknown state does, until it has been killed. */
export function isAlive(facts: PodFacts, instance: ObservedContainer): boolean {
  if (instance.state === 'running') return true;
  if (instance.state !== 'unknown') return false;
  const killed = facts.notes.get(instance.name)?.killed?.containerId === instance.id;
  return !killed || isKilling(facts, instance) || facts.failures.has(`kill-container/${instance.id}`);
}

/** How the instance ended; undefined while it may run, or when it never did. */
export function endOf(facts: PodFacts, instance: ObservedContainer): ContainerEnd | undefined {
  if (instance.state === 'created' || isAlive(facts, instance)) return undefined;
  const exitCode = instance.state === 'unknown' ? unknownExitCode : instance.exitCode;
  return { exitCode, endedAt: instance.finishedAt || instance.startedAt || instance.createdAt };
}

/** How a container that is down ended last, from the runtime or, where that forgot it, from what was reported. */
export function lastEnd(view: PodView, container: ContainerView): ContainerEnd | undefined {
  if (container.latest) return endOf(view.facts, container.latest);
  const terminated = container.reported?.state?.terminated;
  if (!terminated) return undefined;
  return { exitCode: terminated.exitCode, endedAt: Date.parse(terminated.finishedAt ?? '') || 0 };
}

/**
 * True when a container that ended this way starts again. What we killed in order to restart it does so whatever code it
 * leaves with, within its policy; a changed spec goes before the policy too.
 */
export function restarts(view: PodView, container: ContainerView, end: ContainerEnd): boolean {
  const { killed } = container.notes;
  if (killed && killed.containerId === container.latest?.id) {
    switch (killed.why) {
      case 'spec-changed':
      case 'restart-all':
      case 'resize':
        return true;
      case 'liveness-failed':
      case 'startup-failed':
      case 'sandbox-changed':
        return restartPolicyOf(view.pod, container.spec) !== 'Never';
      case 'pod-terminating':
      case 'state-unknown':
      case 'post-start-failed':
      case 'not-wanted':
        break;
    }
  }
  return shouldRestart(view.pod, container.spec, end.exitCode);
}

/** True when a plain init container ended badly and stays so. */
export function failedForGood(view: PodView, container: ContainerView): boolean {
  if (container.kind !== 'init' || container.starting) return false;
  const end = lastEnd(view, container);
  return end !== undefined && isInitFailure(container, end) && !restarts(view, container, end);
}

/** An init container killed for its memory has failed, whatever its exit code. */
export function isInitFailure(container: ContainerView, end: ContainerEnd): boolean {
  return end.exitCode !== 0 || container.latest?.reason === 'OOMKilled';
}

/** The sandbox containers are started in. */
export function currentSandbox(view: PodView): ObservedSandbox | undefined {
  return view.sandbox.kind === 'ok' ? view.sandbox.sandbox : undefined;
}

/** The newest instance in the current sandbox. */
export function currentInstance(view: PodView, container: ContainerView): ObservedContainer | undefined {
  const id = currentSandbox(view)?.id;
  return container.instances.find(({ sandboxId }) => sandboxId === id);
}

/** True once the startup probe has passed, or while it runs when there is none; never during the postStart hook. */
export function isStarted(view: PodView, container: ContainerView, instance: ObservedContainer): boolean {
  if (instance.state !== 'running' || container.starting) return false;
  const probes = view.facts.probes.get(instance.id);
  if (probes) return probes.started;
  return container.spec.startupProbe === undefined || wasReported(view, container, instance)?.started === true;
}

export function isReady(view: PodView, container: ContainerView, instance: ObservedContainer): boolean {
  if (!isStarted(view, container, instance)) return false;
  const probes = view.facts.probes.get(instance.id);
  if (probes) return probes.ready;
  return container.spec.readinessProbe === undefined || wasReported(view, container, instance)?.ready === true;
}

/** Containers that ran this long before the agent started keep what was reported of them until a probe says otherwise. */
const adoptedAfterMs = 10_000;

function wasReported(
  view: PodView,
  container: ContainerView,
  instance: ObservedContainer,
): ContainerStatus | undefined {
  const adopted = instance.startedAt < view.facts.agentStartedAt - adoptedAfterMs;
  return adopted && container.reported?.containerID === instance.containerId ? container.reported : undefined;
}
