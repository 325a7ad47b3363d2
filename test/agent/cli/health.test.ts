import { expect, test } from 'vitest';
import { freePorts } from '../../support/free-ports.js';
import { BerthWorld } from './berth-world.js';

test('healthz answers and metrics have the names that dashboards know', async () => {
  await using world = await BerthWorld.open();
  const [port = 0] = await freePorts(1);
  await world.start({ flags: ['--healthz-port', String(port)] });
  const ask = async (path: string): Promise<Response> => await fetch(`http://127.0.0.1:${port}${path}`);
  const health = await ask('/healthz');
  expect([health.status, await health.text()]).toEqual([200, 'ok']);
  expect((await ask('/etc/passwd')).status).toBe(404);
  expect((await fetch(`http://127.0.0.1:${port}/healthz`, { method: 'POST' })).status).toBe(405);
  const text = await (await ask('/metrics')).text();
  for (const line of [
    /^kubelet_node_name\{node="test-node"\} 1$/m,
    /^kubelet_running_pods 0$/m,
    /^kubelet_runtime_operations_total\{operation_type="list_podsandbox"\} \d+$/m,
    /^kubelet_runtime_operations_duration_seconds_bucket\{operation_type="status",le="\+Inf"\} \d+$/m,
    /^# TYPE kubelet_pod_start_duration_seconds histogram$/m,
    /^process_resident_memory_bytes \d+$/m,
  ])
    expect(text).toMatch(line);
});
