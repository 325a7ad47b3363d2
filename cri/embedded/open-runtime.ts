import { mkdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { RuntimeService } from '../contract/runtime-service.js';
import type { StreamingService } from '../contract/streaming-service.js';
import { adoptContainers, clearHalfMadeContainer } from './adopt/adopt-containers.js';
import { adoptSandboxes, clearHalfMadeSandboxes, halfMadeSandboxes } from './adopt/adopt-sandboxes.js';
import { leftoverIds, sweepLeftovers } from './adopt/sweep-leftovers.js';
import { ExitWatcher } from './containers/exit-watcher.js';
import { ContainerStops } from './containers/stop-container.js';
import { RuntimeContext } from './context.js';
import { EmbeddedRuntime } from './embedded-runtime.js';
import { EmbeddedStreaming } from './embedded-streaming.js';
import { readHostFacts } from './host/host-facts.js';
import { endProgramsNaming } from './host/running-programs.js';
import type { EmbeddedRuntimeDeps, EmbeddedRuntimeOptions } from './options.js';
import { watchSilentEnds } from './silent-ends.js';
import { RuntimeStats } from './stats/runtime-stats.js';

export interface OpenedRuntime extends AsyncDisposable {
  readonly runtime: RuntimeService;
  readonly streaming: StreamingService;
  /** Sizes of writable layers are up to half a minute old; after this they are of now. Takes as long as walking them does. */
  countLayers(): Promise<void>;
}

/**
 * Opens the runtime over what its folders hold: everything that still runs is taken over, what was cut off half way is removed. At most
 * one process may have it open. Disposing it stops no container.
 */
export async function openEmbeddedRuntime(
  options: EmbeddedRuntimeOptions,
  deps: EmbeddedRuntimeDeps,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  signal.throwIfAborted();
  const lifetime = new AbortController();
  const context = new RuntimeContext(options, deps, readHostFacts(), lifetime.signal);
  const { layout } = context;
  await Promise.all(layout.persistentFolders.map((path) => mkdir(path, { recursive: true, mode: 0o711 })));
  for (const path of layout.volatileFolders) mkdirSync(path, { recursive: true, mode: 0o711 });
  const exits = new ExitWatcher(context);
  try {
    await takeOver(context, signal);
    exits.lookAtAll();
  } catch (err) {
    exits[Symbol.dispose]();
    throw err;
  }
  const stops = new ContainerStops();
  const stats = new RuntimeStats(context);
  const watching = watchSilentEnds(context, lifetime.signal);
  return {
    runtime: new EmbeddedRuntime(context, stops, stats),
    streaming: new EmbeddedStreaming(context),
    countLayers: () => stats.countLayers(),
    async [Symbol.asyncDispose]() {
      exits[Symbol.dispose]();
      stops[Symbol.dispose]();
      await context.trash.idle();
      lifetime.abort(new Error('the runtime was closed'));
      await watching;
      await Promise.all([...context.containers.values()].map((entry) => entry.writing));
    },
  };
}

/** Sandboxes before containers, which hang on them; removals after every id is known, containers before their sandboxes. */
async function takeOver(context: RuntimeContext, signal: AbortSignal): Promise<void> {
  await adoptSandboxes(context);
  const containers = await adoptContainers(context);
  const sandboxes = halfMadeSandboxes(context);
  const leftovers = leftoverIds(context);
  const halfMade = [...containers, ...sandboxes].map((entry) => entry.id);
  await endProgramsNaming(new Set([...halfMade, ...leftovers]), context.deps.clock, signal);
  for (const entry of containers) await clearHalfMadeContainer(context, entry);
  await clearHalfMadeSandboxes(context, sandboxes);
  await sweepLeftovers(context, leftovers);
}
