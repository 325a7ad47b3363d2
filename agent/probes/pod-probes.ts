import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import { allContainers, type Container, type Pod, type PodContainer, type PodUid, type Probe } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { containerReference } from '../events/references.js';
import type { ProbeFacts } from '../podloop/pod-facts.js';
import { Pause } from './pause.js';
import type { ProbeManager, ProbeTarget } from './probe-manager.js';
import type { ProbeRecord } from './probe-record.js';
import { runProbeWorker, type ProbeKind } from './probe-worker.js';
import type { ProbeOutcome, ProbeRequest } from './run-probe.js';

export interface PodProbesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly agentStartedAt: number;
  readonly record: Pick<ProbeRecord, 'set'>;
  random(): number;
  run(request: ProbeRequest, signal: AbortSignal): Promise<ProbeOutcome>;
  /** For `prober_probe_total` and its duration. */
  counted(kind: ProbeKind, outcome: ProbeOutcome, pod: Pod, container: string, seconds: number): void;
}

interface Worker {
  readonly stop: AbortController;
  readonly pause: Pause;
}

interface Probed {
  facts: ProbeFacts;
  readonly workers: Map<ProbeKind, Worker>;
}

interface ProbedPod {
  pod: Pod;
  readonly containers: Map<string, Probed>;
  /** What passes read; rebuilt when something changed. */
  facts: ReadonlyMap<string, ProbeFacts>;
}

const none: ReadonlyMap<string, ProbeFacts> = new Map();
const capital: Readonly<Record<ProbeKind, string>> = {
  startup: 'Startup',
  liveness: 'Liveness',
  readiness: 'Readiness',
};

/** The probes of all pods. A container's probes live as long as it runs; a new container id starts afresh (facts 3). */
export class PodProbes implements ProbeManager, Disposable {
  readonly #deps: PodProbesDeps;
  readonly #pods = new Map<PodUid, ProbedPod>();
  readonly #listeners = new Set<(uid: PodUid) => void>();

  constructor(deps: PodProbesDeps) {
    this.#deps = deps;
  }

  facts(uid: PodUid): ReadonlyMap<string, ProbeFacts> {
    return this.#pods.get(uid)?.facts ?? none;
  }

  onChange(listener: (uid: PodUid) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  sync(pod: Pod, podIp: string, targets: readonly ProbeTarget[], terminating: boolean): void {
    const uid = (pod.metadata?.uid ?? '') as PodUid;
    const known = this.#pods.get(uid) ?? { pod, containers: new Map<string, Probed>(), facts: none };
    known.pod = pod;
    const running = new Set(targets.map(({ container }) => container.id));
    let changed = false;
    for (const [id, probed] of known.containers) {
      if (running.has(id)) {
        if (terminating) stopWorkers(probed, ['startup', 'liveness']);
        continue;
      }
      stopWorkers(probed, ['startup', 'liveness', 'readiness']);
      this.#deps.record.set(id, 'ready');
      known.containers.delete(id);
      changed = true;
    }
    for (const target of targets) {
      if (known.containers.has(target.container.id)) continue;
      this.#begin(uid, known, target, podIp, terminating);
      changed = true;
    }
    this.#pods.set(uid, known);
    if (changed) rebuild(known);
  }

  remove(uid: PodUid): void {
    for (const id of this.#pods.get(uid)?.containers.keys() ?? []) this.#deps.record.set(id, 'ready');
    this.#stop(uid);
  }

  /** The next agent is to find the record as it is. */
  [Symbol.dispose](): void {
    for (const uid of this.#pods.keys()) this.#stop(uid);
  }

  #stop(uid: PodUid): void {
    const known = this.#pods.get(uid);
    for (const probed of known?.containers.values() ?? []) stopWorkers(probed, ['startup', 'liveness', 'readiness']);
    this.#pods.delete(uid);
  }

  #record(containerId: string, { started, ready }: ProbeFacts): void {
    this.#deps.record.set(containerId, ready ? 'ready' : started ? 'unready' : 'unstarted');
  }

  #begin(uid: PodUid, known: ProbedPod, target: ProbeTarget, podIp: string, terminating: boolean): void {
    const spec = allContainers(known.pod).find(({ container }) => container.name === target.container.name);
    const probes =
      spec && (spec.kind === 'regular' || spec.kind === 'sidecar') ? (spec.container as Container) : undefined;
    const { startupProbe, readinessProbe, livenessProbe } = probes ?? {};
    const { before } = target;
    const probed: Probed = {
      facts: {
        started: startupProbe === undefined || before !== 'unstarted',
        ready: (startupProbe === undefined && readinessProbe === undefined) || before === 'ready',
      },
      workers: new Map(),
    };
    this.#record(target.container.id, probed.facts);
    known.containers.set(target.container.id, probed);
    if (!spec) return;
    const start = (kind: ProbeKind, probe: Probe | undefined, initiallyOk: boolean): void => {
      if (probe) this.#work(uid, known, probed, spec, target, podIp, kind, probe, initiallyOk);
    };
    if (!terminating) {
      if (!probed.facts.started) start('startup', startupProbe, false);
      start('liveness', livenessProbe, true);
    }
    start('readiness', readinessProbe, probed.facts.ready);
  }

  #work(
    uid: PodUid,
    known: ProbedPod,
    probed: Probed,
    spec: PodContainer,
    target: ProbeTarget,
    podIp: string,
    kind: ProbeKind,
    probe: Probe,
    initiallyOk: boolean,
  ): void {
    const { clock, log, agentStartedAt } = this.#deps;
    const stop = new AbortController();
    const pause = new Pause(clock);
    probed.workers.set(kind, { stop, pause });
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    // Many probes of pods from before would otherwise tick at the same instant after a restart.
    const spread = clock.now() - agentStartedAt < periodMs && target.container.startedAt < agentStartedAt;
    const worker = runProbeWorker(
      kind,
      probe,
      target.container.startedAt,
      initiallyOk,
      spread,
      {
        clock,
        log,
        pause,
        random: () => this.#deps.random(),
        mayRun: (asked) => asked === 'startup' || probed.facts.started,
        run: async (_kind, _probe, signal) => {
          const started = performance.now();
          const outcome = await this.#deps.run(
            { probe, container: spec.container as Container, containerId: target.container.id, podIp },
            signal,
          );
          this.#deps.counted(kind, outcome, known.pod, spec.container.name, (performance.now() - started) / 1000);
          return outcome;
        },
        outcome: (asked, outcome) => this.#announce(known.pod, spec, asked, outcome),
        faulted: (asked, message) =>
          this.#deps.events.record(
            containerReference(known.pod, spec),
            'Warning',
            'Unhealthy',
            `${capital[asked]} probe errored and resulted in unknown state: ${message}`,
          ),
        settled: (asked, ok, message) => {
          probed.facts = settle(probed.facts, asked, ok, message, probe, spec.container as Container);
          rebuild(known);
          this.#record(target.container.id, probed.facts);
          // The others were held back until now; readiness must not wait for its next tick.
          if (asked === 'startup' && ok) probed.workers.get('readiness')?.pause.cut();
          for (const listener of this.#listeners) listener(uid);
        },
      },
      stop.signal,
    );
    // It rejects only when it is stopped.
    worker.catch(() => {});
  }

  #announce(pod: Pod, spec: PodContainer, kind: ProbeKind, outcome: ProbeOutcome): void {
    if (outcome.result === 'success') return;
    const reason = outcome.result === 'failure' ? 'Unhealthy' : 'ProbeWarning';
    const verb = outcome.result === 'failure' ? 'failed' : 'warning';
    this.#deps.events.record(
      containerReference(pod, spec),
      'Warning',
      reason,
      `${capital[kind]} probe ${verb}: ${outcome.message}`,
    );
  }
}

function settle(
  facts: ProbeFacts,
  kind: ProbeKind,
  ok: boolean,
  message: string,
  probe: Probe,
  container: Container,
): ProbeFacts {
  if (kind === 'readiness') return { ...facts, ready: ok };
  if (!ok)
    return {
      ...facts,
      ready: false,
      failed: { probe: kind, message, graceSeconds: probe.terminationGracePeriodSeconds },
    };
  if (kind === 'liveness') return facts;
  return { ...facts, started: true, ready: facts.ready || container.readinessProbe === undefined };
}

function stopWorkers(probed: Probed, kinds: readonly ProbeKind[]): void {
  for (const kind of kinds) {
    probed.workers.get(kind)?.stop.abort(new DOMException('the probe ends', 'AbortError'));
    probed.workers.delete(kind);
  }
}

function rebuild(known: ProbedPod): void {
  known.facts = new Map([...known.containers].map(([id, probed]) => [id, probed.facts]));
}
