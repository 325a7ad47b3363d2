import type { Container, Pod, PodStatus } from '../../api/index.js';
import { deriveStatus } from '../../status/index.js';
import { nextTryAfter } from '../backoff.js';
import { stepNotes } from '../step-notes.js';
import { planPod } from './plan-pod.js';
import type {
  ContainerNotes,
  DesiredPod,
  ObservedContainer,
  ObservedSandbox,
  PodFacts,
  ProbeFacts,
  Termination,
} from '../pod-facts.js';
import { testContainer, testDesired, testPolicy, testSandbox, testStart } from '../pod-fixtures.js';
import { checkStatus, checkStep, isTerminating } from './simulated-checks.js';
import { SimulatedSize } from './simulated-size.js';
import { stepKey, type Operation, type PodPlan, type Step, type StepFailure } from '../steps.js';

export * from '../pod-fixtures.js';

interface Running extends Operation {
  stage: number;
  cancelled: boolean;
}

/** For tests: a machine with one pod, where steps take effect when they are told to, and which refuses what no plan may ask. */
export class SimulatedPod {
  now = testStart;
  desired: DesiredPod | undefined;
  plan: PodPlan | undefined;
  status: PodStatus | undefined;
  sandboxes: ObservedSandbox[] = [];
  containers: ObservedContainer[] = [];
  networkReady = true;
  sourcesSynced = true;
  /** Names in the order in which their containers began to run and ceased to. */
  readonly history: string[] = [];
  readonly operations = new Map<string, Running>();
  readonly probes = new Map<string, ProbeFacts>();
  #agentStartedAt = testStart;
  #notes = new Map<string, ContainerNotes>();
  #failures = new Map<string, StepFailure>();
  #stopped = new Set<string>();
  #prepared = false;
  #mounted = false;
  #present = false;
  #released = false;
  #lastReported: PodStatus | undefined;
  readonly #size = new SimulatedSize();
  #serial = 0;

  constructor(pod: Pod) {
    this.desired = testDesired(pod);
  }

  facts(): PodFacts {
    return {
      runtime: {
        sandboxes: this.sandboxes.toSorted((a, b) => b.attempt - a.attempt),
        containers: this.containers.toSorted((a, b) => b.createdAt - a.createdAt || b.restartCount - a.restartCount),
      },
      probes: this.probes,
      notes: this.#notes,
      inFlight: this.operations,
      failures: this.#failures,
      prepared: this.#prepared,
      volumesMounted: this.#mounted,
      volumesPresent: this.#present,
      stoppedSandboxes: this.#stopped,
      released: this.#released,
      resize: this.#size.facts,
      network: { ready: this.networkReady, message: 'no CNI configuration' },
      agentStartedAt: this.#agentStartedAt,
      sourcesSynced: this.sourcesSynced,
      hostIps: ['192.0.2.1'],
      lastReported: this.#lastReported,
    };
  }

  /** One pass of the loop: plans, reports, begins what the plan names. */
  pass(): PodPlan {
    const facts = this.facts();
    const plan = planPod(this.desired, facts, testPolicy, this.now);
    this.plan = plan;
    this.status = deriveStatus(this.desired, facts, plan, this.now);
    this.#lastReported = this.status ?? this.#lastReported;
    checkStatus(this.status, this.desired, this.facts());
    for (const key of plan.cancel) {
      const operation = this.operations.get(key);
      if (!operation) throw new Error(`cancels ${key}, which is not under way`);
      operation.cancelled = true;
    }
    for (const step of plan.steps) this.#begin(step);
    return plan;
  }

  /** Lets one operation go on; false when it has ended. */
  advance(key: string): boolean {
    const operation = this.operations.get(key);
    if (!operation) return false;
    if (operation.cancelled) {
      this.operations.delete(key);
      return false;
    }
    if (operation.step.kind === 'start-container' && operation.stage < 2) {
      this.#makeContainer(operation, operation.step);
      return true;
    }
    this.operations.delete(key);
    this.#failures.delete(key);
    this.#apply(operation.step);
    return false;
  }

  fail(key: string, reason = 'Broken'): void {
    const operation = this.operations.get(key);
    if (!operation) return;
    this.operations.delete(key);
    if (operation.cancelled) return;
    const { step, attempt } = operation;
    const since = this.#failures.get(key)?.since ?? operation.since;
    const nextTry = this.now + nextTryAfter(step, attempt, reason);
    this.#failures.set(key, { step, attempt, since, failedAt: this.now, nextTry, reason, message: 'it broke' });
    if (step.kind === 'create-sandbox') this.#addSandbox(step.attempt, false);
  }

  exit(id: string, exitCode: number): void {
    const container = this.containers.find((each) => each.id === id);
    if (container?.state !== 'running' && container?.state !== 'unknown') return;
    this.#change(id, {
      state: 'exited',
      exitCode,
      finishedAt: this.now,
      reason: exitCode === 0 ? 'Completed' : 'Error',
    });
    this.history.push(`-${container.name}`);
  }

  sandboxDies(): void {
    this.sandboxes = this.sandboxes.map((sandbox) => ({ ...sandbox, ready: false }));
  }

  loseTrack(id: string): void {
    const container = this.containers.find((each) => each.id === id);
    if (container?.state === 'running') this.#change(id, { state: 'unknown' });
  }

  /** The agent is killed and starts again: what it knew by heart is gone, what it was doing stays half done. */
  restartAgent(): void {
    this.operations.clear();
    this.#notes = new Map();
    this.#failures = new Map();
    this.#stopped = new Set();
    this.probes.clear();
    this.#prepared = false;
    this.#released = false;
    this.#mounted = false;
    this.#size.forget();
    if (this.desired && this.#lastReported) this.desired = { ...this.desired, previousStatus: this.#lastReported };
    this.#lastReported = undefined;
    this.#agentStartedAt = this.now;
  }

  terminate(graceSeconds: number, cause: Termination['cause'] = 'deleted'): void {
    if (!this.desired) return;
    const { termination } = this.desired;
    if (termination && termination.graceSeconds <= graceSeconds) return;
    this.desired = {
      ...this.desired,
      termination: termination ? { ...termination, graceSeconds } : { cause, since: this.now, graceSeconds },
    };
  }

  get isTerminating(): boolean {
    return isTerminating(this.desired);
  }

  /** Everything goes well from here on: ends all that is under way, lets time pass where the plan waits for it. */
  settle(maxPasses = 400): PodPlan {
    for (let pass = 0; pass < maxPasses; pass++) {
      const plan = this.pass();
      if (plan.next === 'forget') return plan;
      if (this.operations.size > 0) {
        for (const key of this.operations.keys()) while (this.advance(key));
        this.now += 10;
        continue;
      }
      if (this.#encourage()) continue;
      if (plan.lookAgainAt === undefined || plan.lookAgainAt <= this.now) return plan;
      this.now = plan.lookAgainAt;
    }
    throw new Error(`does not settle: ${JSON.stringify(this.plan)} ${JSON.stringify(this.status)}`);
  }

  /** Probes pass, init containers end well. */
  #encourage(): boolean {
    let changed = false;
    for (const container of this.containers) {
      if (container.state !== 'running') continue;
      const init = this.desired?.pod.spec?.initContainers?.find(({ name }) => name === container.name);
      if (init && init.restartPolicy !== 'Always') {
        this.exit(container.id, 0);
        changed = true;
      } else if (this.probes.get(container.id)?.ready !== true) {
        this.probes.set(container.id, { started: true, ready: true });
        changed = true;
      }
    }
    return changed;
  }

  #begin(step: Step): void {
    const key = stepKey(step);
    checkStep(step, { now: this.now, desired: this.desired, facts: this.facts(), size: this.#size });
    const attempt = (this.#failures.get(key)?.attempt ?? 0) + 1;
    this.operations.set(key, { step, since: this.now, attempt, stage: 0, cancelled: false });
    const note = stepNotes(step);
    if (note) this.#note(note.container, note.change);
    if (step.kind === 'mount-volumes') this.#present = true;
  }

  #makeContainer(operation: Running, step: Step & { kind: 'start-container' }): void {
    if (operation.stage++ === 0) {
      this.#size.give(this.desired?.pod, step.container);
      const id = `${step.container}-${this.#serial++}`;
      const spec = this.#spec(step.container);
      const image = spec?.image ?? '';
      const made = testContainer({ name: step.container, id, image, sandboxId: step.sandboxId });
      this.containers.push({
        ...made,
        state: 'created',
        restartCount: step.restartCount,
        createdAt: this.now + this.#serial / 1000,
        startedAt: 0,
      });
      return;
    }
    const made = this.containers.findLast(({ name, state }) => name === step.container && state === 'created');
    if (!made) return;
    this.#change(made.id, { state: 'running', startedAt: this.now });
    this.history.push(`+${step.container}`);
  }

  #running(): readonly string[] {
    return this.containers.filter(({ state }) => state === 'running').map(({ name }) => name);
  }

  #spec(name: string): Container | undefined {
    const { initContainers = [], containers = [], ephemeralContainers = [] } = this.desired?.pod.spec ?? {};
    return [...initContainers, ...containers, ...(ephemeralContainers as Container[])].find(
      (each) => each.name === name,
    );
  }

  #apply(step: Step): void {
    switch (step.kind) {
      case 'prepare-pod':
        this.#prepared = true;
        this.#released = false;
        this.#size.prepare(this.desired?.pod, this.#running().length > 0);
        break;
      case 'pin-containers':
      case 'pre-stop':
        break;
      case 'resize-pod':
        this.#size.resize(this.desired?.pod, this.#running());
        break;
      case 'mount-volumes':
        this.#mounted = true;
        break;
      case 'create-sandbox':
        this.#addSandbox(step.attempt, true);
        break;
      case 'ensure-image':
        this.#note(step.container, { imageReady: { image: step.image, imageId: `id-of-${step.image}` } });
        break;
      case 'start-container':
        break;
      case 'kill-container':
        this.exit(step.containerId, step.graceSeconds === 0 ? 137 : this.#serial % 2 === 0 ? 143 : 0);
        break;
      case 'stop-sandbox':
        this.sandboxes = this.sandboxes.map((each) => (each.id === step.sandboxId ? { ...each, ready: false } : each));
        this.#stopped.add(step.sandboxId);
        break;
      case 'remove-container':
        this.containers = this.containers.filter(({ id }) => id !== step.containerId);
        break;
      case 'remove-sandbox':
        this.sandboxes = this.sandboxes.filter(({ id }) => id !== step.sandboxId);
        break;
      case 'unmount-volumes':
        this.#present = false;
        this.#mounted = false;
        break;
      case 'release-pod':
        this.#prepared = false;
        this.#released = true;
        break;
    }
  }

  #addSandbox(attempt: number, ready: boolean): void {
    const hostNetwork = this.desired?.pod.spec?.hostNetwork === true;
    const ips = hostNetwork ? [] : [`10.0.0.${attempt + 2}`];
    this.sandboxes.push(
      testSandbox({ id: `s${this.#serial++}`, attempt, ready, ips, hostNetwork, createdAt: this.now }),
    );
  }

  #change(id: string, change: Partial<ObservedContainer>): void {
    this.containers = this.containers.map((each) => (each.id === id ? { ...each, ...change } : each));
  }

  #note(name: string, change: ContainerNotes): void {
    this.#notes.set(name, { ...this.#notes.get(name), ...change });
  }
}
