import { expect, test } from 'vitest';
import type { CriRuntime } from '../../../cri/index.js';
import { noMetrics } from './agent-metrics.js';
import { countedRuntime, operationName } from './counted-runtime.js';

test.each([
  ['runPodSandbox', 'run_podsandbox'],
  ['createContainer', 'create_container'],
  ['execSync', 'exec_sync'],
  ['updateContainerResources', 'update_container'],
  ['pullImage', 'pull_image'],
])('%s is %s', (verb, name) => expect(operationName(verb)).toBe(name));

test('verbs are counted with how they ended, and keep their answers and their state', async () => {
  class Service {
    #calls = 0;
    startContainer(): Promise<number> {
      return Promise.resolve(++this.#calls);
    }
    stopContainer(_request: object, signal: AbortSignal): Promise<never> {
      return Promise.reject((signal.reason as Error | undefined) ?? new Error('broken'));
    }
  }
  const seen: [string, boolean][] = [];
  const service = new Service();
  const runtime = { runtime: service, images: service, streaming: {} } as unknown as CriRuntime;
  const counted = countedRuntime(runtime, {
    ...noMetrics,
    runtimeOperation: (operation, seconds, failed) => {
      expect(seconds).toBeGreaterThanOrEqual(0);
      seen.push([operation, failed]);
    },
  }).runtime;
  const never = new AbortController().signal;
  expect(await counted.startContainer({}, never)).toBe(1);
  expect(await counted.startContainer({}, never)).toBe(2);
  await expect(counted.stopContainer({}, never)).rejects.toThrow('broken');
  const stopped = AbortSignal.abort(new DOMException('told to stop', 'AbortError'));
  await expect(counted.stopContainer({}, stopped)).rejects.toThrow('told to stop');
  expect(seen).toEqual([
    ['start_container', false],
    ['start_container', false],
    ['stop_container', true],
    ['stop_container', false],
  ]);
});
