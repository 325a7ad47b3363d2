import { join } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../base/atomic-file.js';
import { toRfc3339, type Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { linkSignal, orAbort } from '../../base/signals.js';
import { podUidOf, type ObjectReference, type Pod, type PodUid } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { Termination } from '../podloop/pod-facts.js';
import { GaugeMetric, type Accumulator } from '../serving/metrics/accumulators.js';
import type { Logind } from './logind.js';
import { groupPods, totalPeriodMs, type GroupOfPods, type ShutdownGroup } from './shutdown-groups.js';

export interface NodeShutdownDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly node: ObjectReference;
  readonly logind: Logind;
  /** `$ROOT`, for the kubelet's state file. */
  readonly rootDir: string;
  activePods(): readonly Pod[];
  terminate(uid: PodUid, termination: Termination): void;
  /** Nothing of the pod runs or is mounted any more. */
  isCleanedUp(uid: PodUid): boolean;
  /**
   * Told before the first pod goes: the node's Ready condition is another. Resolves when whoever the node belongs to knows it, which is
   * waited for, but not long.
   */
  statusChanged(signal: AbortSignal): Promise<void>;
}

const retryMs = 5000;
const lookEveryMs = 200;
const longestDelayPauseMs = 1600;
/** The pods need the time more than the status does. */
const statusWithinMs = 2000;
const statusPart = 0.1;
const message = 'Pod was terminated in response to imminent node shutdown.';

/** Holds the machine's shutdown up until its pods have ended, those of low priority first (facts 10.5). */
export class NodeShutdown {
  readonly #groups: readonly ShutdownGroup[];
  readonly #deps: NodeShutdownDeps;
  #inhibitor: AsyncDisposable | undefined;
  #shuttingDown = false;
  /** Of the last shutdown, ms. */
  #times: { readonly start: number; readonly end: number } = { start: 0, end: 0 };

  constructor(groups: readonly ShutdownGroup[], deps: NodeShutdownDeps) {
    this.#groups = groups;
    this.#deps = deps;
  }

  /** New pods are refused, and the node is not ready. */
  get shuttingDown(): boolean {
    return this.#shuttingDown;
  }

  /** For metrics: when the last shutdown began and ended, also one before this start. */
  get counts(): readonly Accumulator[] {
    const gauge = (name: 'start' | 'end', done: string): GaugeMetric =>
      new GaugeMetric(
        `kubelet_graceful_shutdown_${name}_time_seconds`,
        `Last graceful shutdown ${done} time since unix epoch in seconds`,
        () => [{ labels: {}, value: this.#times[name] / 1000 }],
      );
    return [gauge('start', 'start'), gauge('end', 'end')];
  }

  /** Until the signal aborts; at once where nothing is configured or there is no login manager. */
  async run(signal: AbortSignal): Promise<void> {
    if (totalPeriodMs(this.#groups) === 0) return;
    const { clock, log } = this.#deps;
    await this.#recall();
    while (!signal.aborted) {
      try {
        if (!(await this.#watch(signal))) return;
      } catch (err) {
        if (signal.aborted) break;
        log.warn({ err: errorText(err), retryInMs: retryMs }, 'shutdowns of the machine cannot be watched');
      }
      await this.#release();
      await clock.sleep(retryMs, signal).catch(() => {});
    }
    await this.#release();
  }

  /** False when there is nothing to watch. */
  async #watch(signal: AbortSignal): Promise<boolean> {
    const { logind, log } = this.#deps;
    const delay = await logind.maxDelayMs(signal);
    if (delay === undefined) {
      log.info({}, 'no login manager on this machine: its shutdown does not wait for pods');
      return false;
    }
    await this.#raiseDelay(delay, signal);
    // Before the lock: who sees that it is held may begin a shutdown.
    using shutdowns = await logind.watch(signal);
    this.#inhibitor = await logind.inhibit(signal);
    for await (const begins of shutdowns) {
      if (begins) await this.#shutDown(signal);
      else await this.#calledOff(signal);
    }
    return true;
  }

  async #raiseDelay(delay: number, signal: AbortSignal): Promise<void> {
    const { clock, logind, log } = this.#deps;
    const wantedMs = totalPeriodMs(this.#groups);
    if (delay >= wantedMs) return;
    await logind.raiseMaxDelay(wantedMs, signal);
    // It is told by a signal and reads its files in its own time.
    let isMs = delay;
    for (let pauseMs = 100; isMs < wantedMs && pauseMs <= longestDelayPauseMs; pauseMs *= 2) {
      await clock.sleep(pauseMs, signal);
      isMs = (await logind.maxDelayMs(signal)) ?? delay;
    }
    if (isMs >= wantedMs) log.info({ wasMs: delay, isMs }, 'logind lets a shutdown wait longer');
    else
      log.warn(
        { wantedMs, isMs },
        'logind lets a shutdown wait for less time than pods are promised: another file of its configuration has InhibitDelayMaxSec as well',
      );
  }

  async #shutDown(signal: AbortSignal): Promise<void> {
    const { clock, log, events, node } = this.#deps;
    const start = clock.now();
    this.#shuttingDown = true;
    log.warn({}, 'the machine shuts down');
    events.record(node, 'Normal', 'Shutdown', 'Shutdown manager detected shutdown event');
    await this.#note(start, undefined);
    await this.#tellStatus(signal);
    for (const group of groupPods(this.#deps.activePods(), this.#groups)) await this.#endGroup(group, signal);
    await this.#note(start, clock.now());
    log.info({ tookMs: clock.now() - start }, 'pods have ended, the shutdown may go on');
    await this.#release();
  }

  async #endGroup({ pods, periodMs, priority }: GroupOfPods, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    const isDone = (pod: Pod): boolean => this.#deps.isCleanedUp(podUidOf(pod));
    const now = clock.now();
    for (const pod of pods) this.#deps.terminate(podUidOf(pod), termination(pod, periodMs, now));
    while (clock.now() - now < periodMs) {
      if (pods.every(isDone)) return;
      await clock.sleep(lookEveryMs, signal);
    }
    const left = pods.filter((pod) => !isDone(pod)).map(podUidOf);
    if (left.length > 0)
      log.warn({ priority, periodMs, podUids: left }, 'pods did not end within their part of the shutdown');
  }

  async #calledOff(signal: AbortSignal): Promise<void> {
    const { log, events, node } = this.#deps;
    log.info({}, 'the shutdown was called off');
    events.record(node, 'Normal', 'Shutdown', 'Shutdown manager detected shutdown cancellation');
    this.#shuttingDown = false;
    await this.#release();
    this.#inhibitor = await this.#deps.logind.inhibit(signal);
    await this.#tellStatus(signal);
  }

  async #tellStatus(signal: AbortSignal): Promise<void> {
    const timeoutMs = Math.min(statusWithinMs, totalPeriodMs(this.#groups) * statusPart);
    using limited = linkSignal(signal, { timeoutMs, what: 'tell of the shutdown' });
    try {
      await orAbort(this.#deps.statusChanged(limited.signal), limited.signal);
    } catch (err) {
      signal.throwIfAborted();
      this.#deps.log.warn({ err: errorText(err) }, 'the node status could not be told before the shutdown');
    }
  }

  /** The kubelet's state file, which its metrics are read from after the next start. */
  async #note(startMs: number, endMs: number | undefined): Promise<void> {
    this.#times = { start: startMs, end: endMs ?? 0 };
    const state = { startTime: toRfc3339(startMs), ...(endMs === undefined ? {} : { endTime: toRfc3339(endMs) }) };
    try {
      await writeFileAtomic(this.#statePath, JSON.stringify(state));
    } catch (err) {
      this.#deps.log.warn({ err: errorText(err) }, 'the times of the shutdown could not be noted');
    }
  }

  get #statePath(): string {
    return join(this.#deps.rootDir, 'graceful_node_shutdown_state');
  }

  async #recall(): Promise<void> {
    try {
      const { startTime = '', endTime = '' } = JSON.parse((await readIfPresent(this.#statePath)) ?? '{}') as Record<
        string,
        string | undefined
      >;
      this.#times = { start: Date.parse(startTime) || 0, end: Date.parse(endTime) || 0 };
    } catch (err) {
      this.#deps.log.warn({ err: errorText(err) }, 'the times of the last shutdown cannot be read');
    }
  }

  async #release(): Promise<void> {
    const held = this.#inhibitor;
    this.#inhibitor = undefined;
    await held?.[Symbol.asyncDispose]();
  }
}

function termination(pod: Pod, periodMs: number, now: number): Termination {
  return {
    cause: 'shutdown',
    since: now,
    graceSeconds: Math.min(pod.spec?.terminationGracePeriodSeconds ?? 30, Math.floor(periodMs / 1000)),
    status: {
      phase: 'Failed',
      reason: 'Terminated',
      message,
      condition: {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'TerminationByKubelet',
        message,
        lastTransitionTime: toRfc3339(now),
      },
    },
  };
}
