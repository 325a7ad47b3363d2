import { expect, test } from 'vitest';
import { freePorts } from '../../support/free-ports.js';
import { BerthWorld } from './berth-world.js';

test('healthz answers and metrics have the names that dashboards know', async () => {
  await using world = await BerthWorld.open();
  const [port = 0] = await freePorts(1);
  await world.start({ flags: ['--healthz-port', String(port)] });
  const ask = async (path: string): Promise<Response> => await fetch(`http://127.0.0.1:${port}${path}`);
  await world.until(
    'it listens',
    async () =>
      await ask('/healthz')
        .then(() => true)
        .catch(() => false),
  );
  const health = await ask('/healthz');
  expect([health.status, await health.text()]).toEqual([200, 'ok']);
  expect((await ask('/etc/passwd')).status).toBe(404);
  expect((await fetch(`http://127.0.0.1:${port}/healthz`, { method: 'POST' })).status).toBe(405);
  const lines = [
    /^kubelet_node_name\{node="test-node"\} 1$/m,
    /^kubelet_running_pods 0$/m,
    /^kubelet_runtime_operations_total\{operation_type="list_podsandbox"\} \d+$/m,
    /^kubelet_runtime_operations_duration_seconds_bucket\{operation_type="status",le="\+Inf"\} \d+$/m,
    /^# TYPE kubelet_pod_start_duration_seconds histogram$/m,
    /^process_resident_memory_bytes \d+$/m,
  ];
  let missing: readonly RegExp[] = lines;
  // What is asked of the runtime is counted once it was asked.
  await world
    .until('all are told', async () => {
      const text = await (await ask('/metrics')).text();
      missing = lines.filter((line) => !line.test(text));
      return missing.length === 0;
    })
    .catch(() => {});
  expect(missing).toEqual([]);
});
