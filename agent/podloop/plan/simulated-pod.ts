import { isTerminalPhase, type Container, type Pod, type PodStatus } from '../../api/index.js';
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
import { SimulatedSize } from './simulated-size.js';
import { stepKey, type Operation, type PodPlan, type Step, type StepFailure } from '../steps.js';

export * from '../pod-fixtures.js';

interface Running extends Operation {
  stage: number;
  cancelled: boolean;
}

const making = new Set<Step['kind']>([
  'prepare-pod',
  'mount-volumes',
  'create-sandbox',
  'ensure-image',
  'start-container',
]);

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
    this.#checkStatus();
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
    return this.desired === undefined || this.desired.termination !== undefined;
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
    const running = this.operations.get(key);
    if (running && step.kind !== 'kill-container') throw new Error(`begins ${key} twice`);
    if (running?.step.kind === 'kill-container' && step.kind === 'kill-container') {
      if (step.graceSeconds >= running.step.graceSeconds) throw new Error(`kills ${key} again without hurry`);
    }
    const failure = this.#failures.get(key);
    if (failure && failure.nextTry > this.now && step.kind !== 'ensure-image' && step.kind !== 'start-container') {
      throw new Error(`begins ${key} before its next try`);
    }
    if (this.isTerminating && making.has(step.kind)) throw new Error(`begins ${key} of a pod that ends`);
    this.#check(step);
    const attempt = (failure?.attempt ?? 0) + 1;
    this.operations.set(key, { step, since: this.now, attempt, stage: 0, cancelled: false });
    const note = stepNotes(step);
    if (note) this.#note(note.container, note.change);
    if (step.kind === 'mount-volumes') this.#present = true;
  }

  /** What must hold when a step begins, whatever came before. */
  #check(step: Step): void {
    const refuse = (why: string): never => {
      throw new Error(`${stepKey(step)}: ${why}`);
    };
    const alive = this.containers.filter(({ state }) => state === 'running');
    switch (step.kind) {
      case 'create-sandbox':
        if (!this.#mounted) refuse('volumes are not mounted');
        if (this.sandboxes.some(({ ready, id }) => ready || !this.#stopped.has(id)))
          refuse('another one is not stopped');
        if (alive.length > 0 || this.#isStarting()) refuse('something of an older one is left');
        if (this.sandboxes.some(({ attempt }) => attempt >= step.attempt)) refuse('the attempt is not new');
        break;
      case 'start-container':
        if (!this.#mounted || !this.#prepared) refuse('nothing is laid out');
        if (!this.sandboxes.some(({ id, ready }) => id === step.sandboxId && ready)) refuse('the sandbox is not ready');
        if (alive.some(({ name }) => name === step.container)) refuse('it runs');
        if (this.#isStarting(this.#listOf(step.container))) refuse('another one is being started');
        this.#checkOrder(step.container, refuse);
        if (!this.#size.isSized(this.desired?.pod) && !this.#failures.has('resize-pod'))
          refuse('its pod has not the room');
        break;
      case 'pin-containers':
        break;
      case 'resize-pod':
        if (!this.#prepared) refuse('nothing is laid out');
        if (alive.some(({ name }) => this.#size.needsRestart(this.desired?.pod, name)))
          refuse('one that starts anew runs');
        break;
      case 'remove-container':
        if (alive.some(({ id }) => id === step.containerId)) refuse('it runs');
        break;
      case 'remove-sandbox':
        if (this.containers.some(({ sandboxId }) => sandboxId === step.sandboxId)) refuse('it holds containers');
        break;
      case 'stop-sandbox':
        if (alive.some(({ sandboxId }) => sandboxId === step.sandboxId)) refuse('containers run in it');
        if (this.operations.has('create-sandbox') || this.#isStartingIn(step.sandboxId))
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
        if (!this.isTerminating && alive.some(({ name }) => this.#isRegular(name))) refuse('the pod lives');
        if (this.operations.has(`kill-container/${step.containerId}`)) refuse('it is being killed');
        break;
      case 'kill-container':
        if (step.preStop && this.operations.has(`pre-stop/${step.containerId}`)) refuse('its hook runs');
        if (step.why.kind === 'pod-terminating') this.#checkTurn(step.container, refuse);
        break;
    }
  }

  #isRegular(name: string): boolean {
    return this.desired?.pod.spec?.containers?.some((container) => container.name === name) ?? false;
  }

  /** The containers of the spec among which one is started after the other. */
  #listOf(name: string): readonly Container[] {
    const { initContainers = [], containers = [], ephemeralContainers = [] } = this.desired?.pod.spec ?? {};
    const lists = [initContainers, containers, ephemeralContainers as Container[]];
    return lists.find((list) => list.some((container) => container.name === name)) ?? [];
  }

  #isStarting(among?: readonly Container[]): boolean {
    return [...this.operations.values()].some(
      ({ step }) => step.kind === 'start-container' && (among?.some(({ name }) => name === step.container) ?? true),
    );
  }

  /** In one that is left of an earlier run of the agent, nothing is. */
  #isStartingIn(sandboxId: string): boolean {
    return [...this.operations.values()].some(
      ({ step }) => step.kind === 'start-container' && step.sandboxId === sandboxId,
    );
  }

  #checkTurn(name: string, refuse: (why: string) => never): void {
    const { initContainers = [], containers = [] } = this.desired?.pod.spec ?? {};
    const at = initContainers.findIndex((container) => container.name === name);
    if (initContainers[at]?.restartPolicy !== 'Always') return;
    const termination = this.desired?.termination;
    if (!termination || this.now >= termination.since + termination.graceSeconds * 1000) return;
    const before = [...initContainers.slice(at + 1), ...containers].map((container) => container.name);
    if (this.containers.some((each) => each.state === 'running' && before.includes(each.name))) refuse('not its turn');
  }

  #checkOrder(name: string, refuse: (why: string) => never): void {
    const { initContainers = [], containers = [] } = this.desired?.pod.spec ?? {};
    const current = this.sandboxes.toSorted((a, b) => b.attempt - a.attempt)[0]?.id;
    const here = this.containers.filter(({ sandboxId }) => sandboxId === current);
    const regular = containers.some((container) => container.name === name);
    if (!regular && !initContainers.some((container) => container.name === name)) return;
    // Once a regular container is there, the init containers have had their turn.
    if (here.some((each) => containers.some((container) => container.name === each.name))) return;
    for (const init of initContainers) {
      if (init.name === name) return;
      if (init.restartPolicy === 'Always') continue;
      const last = here.filter((each) => each.name === init.name).at(-1);
      if (last?.state !== 'exited' || last.exitCode !== 0) refuse(`init container ${init.name} is not done`);
    }
  }

  #checkStatus(): void {
    const phase = this.status?.phase;
    const alive = this.containers.some(({ state }) => state === 'running');
    if (isTerminalPhase(phase) && alive && this.#lastReported !== this.desired?.previousStatus) {
      if (this.desired?.previousStatus?.phase !== phase) throw new Error(`tells ${phase} while containers run`);
    }
    const ready = this.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
    if (ready && phase !== 'Running') throw new Error(`is ready in phase ${phase}`);
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
