import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type { AgentConfig } from '../../agent/config/agent-config.js';
import type { Pod, PodSpec, Volume } from '../../agent/api/index.js';
import type { AgentRun, PodLine } from './agent-run.js';
import { AgentWorld } from './agent-world.js';
import { podManifest } from './pod-objects.js';

/** One agent for all tests of a file; each test uses pods of its own names. At the end all pods go and nothing may be left. */
export class SharedAgent {
  #world: AgentWorld | undefined;
  #run: AgentRun | undefined;

  /** `prepare` runs before the agent starts. */
  static use(
    change?: (config: AgentConfig) => AgentConfig,
    prepare?: (world: AgentWorld) => Promise<void>,
  ): SharedAgent {
    const shared = new SharedAgent();
    beforeAll(async () => {
      shared.#world = await AgentWorld.open(change);
      await prepare?.(shared.#world);
      shared.#run = await shared.#world.start();
      await shared.#run.untilStarted();
    });
    afterAll(() => shared.#end());
    return shared;
  }

  get world(): AgentWorld {
    if (!this.#world) throw new Error('the agent has not been started');
    return this.#world;
  }

  get run(): AgentRun {
    if (!this.#run) throw new Error('the agent has not been started');
    return this.#run;
  }

  /** Starts a pod and waits for it. */
  async ready(name: string, spec: Partial<PodSpec>, metadata: Pod['metadata'] = {}): Promise<PodLine> {
    await this.run.apply(podManifest(name, spec, metadata));
    return await this.run.untilPod(name, 'is ready', (pod) => pod.ready);
  }

  /** `kill -9` and a new start. */
  async restart(): Promise<AgentRun> {
    await this.run.kill();
    this.#run = await this.world.start();
    await this.#run.untilStarted();
    return this.#run;
  }

  /** Has the agent end itself by SIGKILL at a named point, does what leads there, and starts it again. */
  async dieAt(point: string, act: (run: AgentRun) => Promise<unknown>): Promise<AgentRun> {
    const doomed = this.run;
    await doomed.ask({ do: 'die-at', point });
    await act(doomed);
    await doomed.ended;
    this.#run = await this.world.start();
    await this.#run.untilStarted();
    return this.#run;
  }

  /** SIGTERM, as systemd does, and a new start. */
  async stopAndStart(): Promise<AgentRun> {
    const { run } = this;
    await run[Symbol.asyncDispose]();
    expect(run.errors).toEqual([]);
    return this.restart();
  }

  /** A folder of the machine that containers of one test see, to leave word in. */
  async notes(name: string): Promise<Notes> {
    const path = join(this.world.dir, 'notes', name);
    await mkdir(path, { recursive: true });
    return new Notes(path);
  }

  async #end(): Promise<void> {
    if (!this.#world) return;
    await using world = this.#world;
    if (!this.#run) return;
    for (const { name } of this.#run.pods.values()) await this.#run.delete(name, 1);
    await this.#run.untilGone();
    expect(await world.leftovers()).toEqual([]);
    expect(this.#run.errors).toEqual([]);
  }
}

/** What containers write to `/notes/log`, a line each. */
export class Notes {
  readonly path: string;
  readonly mount = { name: 'notes', mountPath: '/notes' } as const;

  constructor(path: string) {
    this.path = path;
  }

  get volumes(): Volume[] {
    return [{ name: 'notes', hostPath: { path: this.path } }];
  }

  async lines(file = 'log'): Promise<string[]> {
    const text = await readFile(join(this.path, file), 'utf8').catch(() => '');
    return text.split('\n').filter(Boolean);
  }

  /** Waits for lines that a container is about to write. */
  async untilLines(expected: readonly string[], file?: string): Promise<void> {
    const deadline = performance.now() + 60_000;
    while ((await this.lines(file)).length < expected.length && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await this.lines(file)).toEqual(expected);
  }

  /** Gives every container of a spec the folder. */
  in(spec: Partial<PodSpec>): Partial<PodSpec> {
    const mounted = <T extends { volumeMounts?: PodSpec['containers'][number]['volumeMounts'] }>(each: T): T => ({
      ...each,
      volumeMounts: [...(each.volumeMounts ?? []), this.mount],
    });
    return {
      ...spec,
      ...(spec.initContainers && { initContainers: spec.initContainers.map(mounted) }),
      containers: (spec.containers ?? []).map(mounted),
      volumes: [...(spec.volumes ?? []), ...this.volumes],
    };
  }
}
