import { isTerminalPhase, type Container, type PodStatus } from '../../api/index.js';
import type { DesiredPod, PodFacts } from '../pod-facts.js';
import { stepKey, type Step } from '../steps.js';
import type { SimulatedSize } from './simulated-size.js';

/** For tests: the pod in which a step is about to begin. */
export interface StepGround {
  readonly now: number;
  readonly desired: DesiredPod | undefined;
  readonly facts: PodFacts;
  readonly size: SimulatedSize;
}

type Refuse = (why: string) => never;

const making = new Set<Step['kind']>([
  'prepare-pod',
  'mount-volumes',
  'create-sandbox',
  'ensure-image',
  'start-container',
]);

/** What must hold when a step begins, whatever came before. */
export function checkStep(step: Step, ground: StepGround): void {
  checkTime(step, ground);
  const { desired, facts, size } = ground;
  const { sandboxes, containers } = facts.runtime;
  const refuse: Refuse = (why) => {
    throw new Error(`${stepKey(step)}: ${why}`);
  };
  const alive = containers.filter(({ state }) => state === 'running');
  switch (step.kind) {
    case 'create-sandbox':
      if (!facts.volumesMounted) refuse('volumes are not mounted');
      if (sandboxes.some(({ ready, id }) => ready || facts.stoppedSandboxes?.has(id) === false))
        refuse('another one is not stopped');
      if (alive.length > 0 || isStarting(facts)) refuse('something of an older one is left');
      if (sandboxes.some(({ attempt }) => attempt >= step.attempt)) refuse('the attempt is not new');
      break;
    case 'start-container':
      if (!facts.volumesMounted || !facts.prepared) refuse('nothing is laid out');
      if (!sandboxes.some(({ id, ready }) => id === step.sandboxId && ready)) refuse('the sandbox is not ready');
      if (alive.some(({ name }) => name === step.container)) refuse('it runs');
      if (isStarting(facts, listOf(desired, step.container))) refuse('another one is being started');
      checkOrder(step.container, ground, refuse);
      if (!size.isSized(desired?.pod) && !facts.failures.has('resize-pod')) refuse('its pod has not the room');
      break;
    case 'pin-containers':
      break;
    case 'resize-pod':
      if (!facts.prepared) refuse('nothing is laid out');
      if (alive.some(({ name }) => size.needsRestart(desired?.pod, name))) refuse('one that starts anew runs');
      break;
    case 'remove-container':
      if (alive.some(({ id }) => id === step.containerId)) refuse('it runs');
      break;
    case 'remove-sandbox':
      if (containers.some(({ sandboxId }) => sandboxId === step.sandboxId)) refuse('it holds containers');
      break;
    case 'stop-sandbox':
      if (alive.some(({ sandboxId }) => sandboxId === step.sandboxId)) refuse('containers run in it');
      if (facts.inFlight.has('create-sandbox') || isStartingIn(facts, step.sandboxId))
        refuse('something is being made in it');
      break;
    case 'unmount-volumes':
    case 'release-pod':
      if (alive.length > 0) refuse('containers run');
      break;
    case 'prepare-pod':
    case 'mount-volumes':
    case 'ensure-image':
      break;
    case 'pre-stop':
      // One whose regular containers are all over ends by itself.
      if (!isTerminating(desired) && alive.some(({ name }) => isRegular(desired, name))) refuse('the pod lives');
      if (facts.inFlight.has(`kill-container/${step.containerId}`)) refuse('it is being killed');
      break;
    case 'kill-container':
      if (step.preStop && facts.inFlight.has(`pre-stop/${step.containerId}`)) refuse('its hook runs');
      if (step.why.kind === 'pod-terminating') checkTurn(step.container, ground, refuse);
      break;
  }
}

/** What must hold of what is told, with whatever still runs. */
export function checkStatus(status: PodStatus | undefined, desired: DesiredPod | undefined, facts: PodFacts): void {
  const phase = status?.phase;
  const alive = facts.runtime.containers.some(({ state }) => state === 'running');
  const known = desired?.previousStatus;
  if (isTerminalPhase(phase) && alive && facts.lastReported !== known && known?.phase !== phase)
    throw new Error(`tells ${phase} while containers run`);
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
  if (ready && phase !== 'Running') throw new Error(`is ready in phase ${phase}`);
}

export function isTerminating(desired: DesiredPod | undefined): boolean {
  return desired === undefined || desired.termination !== undefined;
}

/** A step begins once, not before its next try, and makes nothing in a pod that ends. */
function checkTime(step: Step, { now, desired, facts }: StepGround): void {
  const key = stepKey(step);
  const running = facts.inFlight.get(key);
  if (running && step.kind !== 'kill-container') throw new Error(`begins ${key} twice`);
  if (running?.step.kind === 'kill-container' && step.kind === 'kill-container') {
    if (step.graceSeconds >= running.step.graceSeconds) throw new Error(`kills ${key} again without hurry`);
  }
  const failure = facts.failures.get(key);
  if (failure && failure.nextTry > now && step.kind !== 'ensure-image' && step.kind !== 'start-container') {
    throw new Error(`begins ${key} before its next try`);
  }
  if (isTerminating(desired) && making.has(step.kind)) throw new Error(`begins ${key} of a pod that ends`);
}

function isRegular(desired: DesiredPod | undefined, name: string): boolean {
  return desired?.pod.spec?.containers?.some((container) => container.name === name) ?? false;
}

/** The containers of the spec among which one is started after the other. */
function listOf(desired: DesiredPod | undefined, name: string): readonly Container[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = desired?.pod.spec ?? {};
  const lists = [initContainers, containers, ephemeralContainers as Container[]];
  return lists.find((list) => list.some((container) => container.name === name)) ?? [];
}

function isStarting({ inFlight }: PodFacts, among?: readonly Container[]): boolean {
  return [...inFlight.values()].some(
    ({ step }) => step.kind === 'start-container' && (among?.some(({ name }) => name === step.container) ?? true),
  );
}

/** In one that is left of an earlier run of the agent, nothing is. */
function isStartingIn({ inFlight }: PodFacts, sandboxId: string): boolean {
  return [...inFlight.values()].some(({ step }) => step.kind === 'start-container' && step.sandboxId === sandboxId);
}

function checkTurn(name: string, { now, desired, facts }: StepGround, refuse: Refuse): void {
  const { initContainers = [], containers = [] } = desired?.pod.spec ?? {};
  const at = initContainers.findIndex((container) => container.name === name);
  if (initContainers[at]?.restartPolicy !== 'Always') return;
  const termination = desired?.termination;
  if (!termination || now >= termination.since + termination.graceSeconds * 1000) return;
  const before = [...initContainers.slice(at + 1), ...containers].map((container) => container.name);
  if (facts.runtime.containers.some((each) => each.state === 'running' && before.includes(each.name)))
    refuse('not its turn');
}

function checkOrder(name: string, { desired, facts }: StepGround, refuse: Refuse): void {
  const { initContainers = [], containers = [] } = desired?.pod.spec ?? {};
  const current = facts.runtime.sandboxes[0]?.id;
  const here = facts.runtime.containers.filter(({ sandboxId }) => sandboxId === current);
  const regular = containers.some((container) => container.name === name);
  if (!regular && !initContainers.some((container) => container.name === name)) return;
  // Once a regular container is there, the init containers have had their turn.
  if (here.some((each) => containers.some((container) => container.name === each.name))) return;
  for (const init of initContainers) {
    if (init.name === name) return;
    if (init.restartPolicy === 'Always') continue;
    const newest = here.find((each) => each.name === init.name);
    if (newest?.state !== 'exited' || newest.exitCode !== 0) refuse(`init container ${init.name} is not done`);
  }
}
