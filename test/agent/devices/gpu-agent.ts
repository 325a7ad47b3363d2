import { join } from 'node:path';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { expect, vi } from 'vitest';
import type { AgentConfig } from '../../../agent/config/agent-config.js';
import type { Container, ResourceStatus } from '../../../agent/api/index.js';
import type { PodLine } from '../agent-run.js';
import { AgentWorld } from '../agent-world.js';
import { container, podManifest } from '../pod-objects.js';
import type { BuiltExamples } from '../../deviceplugin/build-examples.js';
import { PluginProcess } from '../../deviceplugin/plugin-process.js';

export const gpu = 'example.com/gpu';

/** An agent, and the example GPU plugin with simulated GPUs beside it, both as processes of their own. */
export class GpuAgent implements AsyncDisposable {
  readonly world: AgentWorld;
  readonly plugin: PluginProcess;
  readonly #gpus: string;

  private constructor(world: AgentWorld, plugin: PluginProcess, gpus: string) {
    this.world = world;
    this.plugin = plugin;
    this.#gpus = gpus;
  }

  static async open(
    examples: BuiltExamples,
    count: number,
    change?: (config: AgentConfig) => AgentConfig,
  ): Promise<GpuAgent> {
    const world = await AgentWorld.open(change);
    const gpus = join(world.dir, 'gpus');
    const folder = join(world.config.paths.rootDir, 'device-plugins');
    await mkdir(folder, { recursive: true });
    const args = ['--resource', gpu, '--plugin-folder', folder, '--simulate', String(count), '--folder', gpus];
    return new GpuAgent(world, new PluginProcess(examples.gpuPlugin, args), gpus);
  }

  /** Ids of GPUs that are broken from now on. */
  async breakGpus(...ids: string[]): Promise<void> {
    await writeFile(join(this.#gpus, 'unhealthy'), ids.join('\n'));
  }

  async healGpus(): Promise<void> {
    await rm(join(this.#gpus, 'unhealthy'));
  }

  /** Starts the plugin, and waits until it is registered with the agent that runs. */
  async startPlugin(): Promise<void> {
    const before = this.plugin.lines.length;
    this.plugin.start();
    await vi.waitFor(() => expect(this.plugin.lines.slice(before)).toContain(`registered ${gpu}`), {
      timeout: 60_000,
      interval: 20,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The plugin first: its arguments name the folder whose processes the world looks for.
    await this.plugin[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}

export const gpuPod = (name: string, more: Partial<Container> = {}): string =>
  podManifest(name, { containers: [container('main', { resources: { limits: { [gpu]: '1' } }, ...more })] });

export function deviceStatus(pod: PodLine, name = 'main'): ResourceStatus[] | undefined {
  return pod.status.containerStatuses?.find((status) => status.name === name)?.allocatedResourcesStatus;
}

/** `gpu-0 Healthy` of each device of a container. */
export const healthOf = (pod: PodLine): string[] =>
  (deviceStatus(pod) ?? []).flatMap(({ resources = [] }) =>
    resources.map(({ resourceID, health }) => `${resourceID} ${health}`),
  );
