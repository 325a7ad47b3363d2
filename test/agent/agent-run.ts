import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ContainerStatus, Event } from '../../agent/api/index.js';
import type { AgentCommand, AgentLine, ExecResult, NodeAnswer } from './agent-lines.js';

/** Where the compiled agent lies; another place while several people compile in one checkout. */
const distRoot = process.env['BERTH_TEST_DIST'] ?? fileURLToPath(new URL('../../dist', import.meta.url));
export const agentProgram = join(distRoot, 'test/agent/crash-agent.js');

export type PodLine = Extract<AgentLine, { kind: 'pod' }>;

/** In the error of a wait; those that are not ready come first. */
const mostPodsTold = 20;

function summary(pod: PodLine): string {
  const containers = containersOf(pod).map(
    ({ name, state, restartCount }) => `${name}#${restartCount} ${JSON.stringify(state)}`,
  );
  return [`${pod.name} ${pod.phase}${pod.ready ? ' ready' : ''} ${pod.ip}`, ...containers, ...pod.waits].join('\n  ');
}

/** The statuses of all containers of a pod, of whatever kind. */
export function containersOf({ status }: PodLine): readonly ContainerStatus[] {
  return [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ];
}

/** One run of the agent as a process of its own. */
export class AgentRun implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly points: string[] = [];
  readonly pods = new Map<string, PodLine>();
  /** Everything that was ever said of each pod. */
  readonly history: PodLine[] = [];
  readonly ended: Promise<void>;
  #started = false;
  #tidy = false;
  #hasEnded = false;
  #listeners = new Set<() => void>();
  #log = '';
  readonly events: Event[] = [];
  readonly #replies = new Map<number, Extract<AgentLine, { kind: 'reply' }>>();
  #commands = 0;

  constructor(configPath: string) {
    this.#child = spawn(
      process.execPath,
      [...(process.env['BERTH_TEST_NODE_FLAGS']?.split(' ') ?? []), agentProgram, configPath],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    // An agent that dies does so without reading what was asked of it.
    this.#child.stdin?.on('error', () => {});
    // Not at its exit: what it said last may be on its way then.
    this.ended = new Promise((resolve) => {
      this.#child.once('close', () => {
        this.#hasEnded = true;
        this.#tell();
        resolve();
      });
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => this.#read(line));
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#log += chunk.toString();
      this.#tell();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get log(): string {
    return this.#log;
  }

  kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    return this.ended;
  }

  /** What the agent itself took for an error. */
  get errors(): string[] {
    return this.#log
      .split('\n')
      .filter((line) => !line.startsWith('{') || /"level":[56]0/.test(line))
      .filter(Boolean);
  }

  /**
   * Resolves when `holds` did at any line the agent wrote since, also when it is over by now; what it waited for and the end of the log are in
   * the error.
   */
  async until(what: string, holds: (run: AgentRun) => boolean, withinMs = 60_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let look = (): void => {};
    const met = new Promise<boolean>((resolve, reject) => {
      look = (): void => {
        try {
          if (holds(this)) resolve(true);
          else if (this.#hasEnded) resolve(false);
        } catch (err) {
          reject(err instanceof Error ? err : new Error(String(err)));
        }
      };
      timer = setTimeout(() => resolve(false), withinMs);
      this.#listeners.add(look);
      look();
    });
    try {
      if (!(await met)) throw new Error(`${what}: ${this.#whyNot(withinMs)}`);
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(look);
    }
  }

  #whyNot(withinMs: number): string {
    const waiting = [...this.pods.values()].filter(({ ready }) => !ready);
    const state = (waiting.length > 0 ? waiting : [...this.pods.values()])
      .slice(0, mostPodsTold)
      .map(summary)
      .join('\n');
    const why = this.#hasEnded ? 'the agent ended' : `not within ${withinMs} ms`;
    return `${why}\npods:\n${state}\nlog:\n${this.#log.slice(-3000)}`;
  }

  /** The newest line of a pod, by name; of its newest uid when one of the same name is on its way out. */
  find(name: string): PodLine | undefined {
    return [...this.pods.values()].findLast((pod) => pod.name === name);
  }

  pod(name: string): PodLine {
    const found = this.find(name);
    if (!found) throw new Error(`the agent has no pod ${name}\n${this.#log.slice(-3000)}`);
    return found;
  }

  /** Resolves with the pod's line once `holds` is true of it. */
  async untilPod(name: string, what: string, holds: (pod: PodLine) => boolean, withinMs?: number): Promise<PodLine> {
    const found: PodLine[] = [];
    const isFound = (): boolean => {
      const pod = this.find(name);
      if (pod && holds(pod)) found.push(pod);
      return found.length > 0;
    };
    await this.until(`pod ${name} ${what}`, isFound, withinMs);
    return found[0] as PodLine;
  }

  /** Lines of a pod's history, in order. */
  historyOf(name: string): PodLine[] {
    return this.history.filter((pod) => pod.name === name);
  }

  /** `Reason: message` of the events of a pod and its containers. */
  eventsOf(name: string): string[] {
    return this.events
      .filter(({ involvedObject }) => involvedObject.name === name)
      .map(({ reason = '', message = '' }) => `${reason}: ${message}`);
  }

  async ask(command: AgentCommand): Promise<unknown> {
    const id = ++this.#commands;
    this.#child.stdin?.write(`${JSON.stringify({ id, command })}\n`);
    await this.until(`the answer to ${command.do}`, () => this.#replies.has(id));
    const reply = this.#replies.get(id);
    this.#replies.delete(id);
    if (reply?.error !== undefined) throw new Error(`${command.do}: ${reply.error}`);
    return reply?.value;
  }

  async apply(manifest: string, raw = false): Promise<void> {
    await this.ask({ do: 'apply', manifest, raw });
  }

  async delete(name: string, graceSeconds?: number, kind = 'Pod'): Promise<void> {
    await this.ask({ do: 'delete', kind, namespace: 'default', name, graceSeconds });
  }

  async node(): Promise<NodeAnswer> {
    return (await this.ask({ do: 'node' })) as NodeAnswer;
  }

  async exec(pod: string, container: string, ...command: string[]): Promise<ExecResult> {
    const { containerID } = this.container(pod, container);
    return (await this.ask({ do: 'exec', containerId: containerID ?? '', command })) as ExecResult;
  }

  /** Standard output of a shell script run in a container; fails when the script does. */
  async sh(pod: string, container: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await this.exec(pod, container, 'sh', '-c', script);
    if (code !== 0) throw new Error(`"${script}" in ${pod}/${container} exited with ${code}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  container(pod: string, name: string): ContainerStatus {
    const found = containersOf(this.pod(pod)).find((container) => container.name === name);
    if (!found) throw new Error(`pod ${pod} reports no container ${name}`);
    return found;
  }

  untilStarted(): Promise<void> {
    return this.until('the agent has started', () => this.#started);
  }

  untilReady(name: string, withinMs?: number): Promise<void> {
    return this.until(
      `pod ${name} is ready`,
      () => [...this.pods.values()].some((pod) => pod.name === name && pod.ready),
      withinMs,
    );
  }

  untilGone(withinMs?: number): Promise<void> {
    return this.until('all pods are gone', () => this.#tidy && this.pods.size === 0, withinMs);
  }

  /** SIGTERM, as systemd does; containers keep running. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 30_000);
    await this.ended;
    clearTimeout(timer);
  }

  #read(text: string): void {
    const line = JSON.parse(text) as AgentLine;
    if (line.kind === 'started') this.#started = true;
    if (line.kind === 'tidy') this.#tidy = true;
    if (line.kind === 'at') this.points.push(line.point);
    if (line.kind === 'pod') {
      this.pods.set(line.uid, line);
      this.history.push(line);
    }
    if (line.kind === 'gone') this.pods.delete(line.uid);
    if (line.kind === 'event') this.events.push(line.event);
    if (line.kind === 'reply') this.#replies.set(line.id, line);
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
