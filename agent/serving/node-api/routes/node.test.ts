import { expect, test } from 'vitest';
import type { Agent } from '../../../agent.js';
import { nodeObject } from '../../../cli/output/node-object.js';
import { nodeTable } from '../../../cli/output/resource-tables.js';
import { defaultConfig } from '../../../config/agent-config.js';
import { nodeConditions } from '../../../node/node-conditions.js';
import type { NodeView } from '../contract.js';
import { nodeRoutes } from './node.js';

const network = { ready: true, message: '' };
const gpu = 'example.com/gpu';

async function view(shuttingDown: boolean, ...pressures: 'DiskPressure'[]): Promise<NodeView> {
  const runtime = { ready: true, message: '' };
  const agent = {
    config: defaultConfig('here', 2),
    host: { addresses: ['10.0.0.1'] },
    runtime: { runtime: { version: () => Promise.resolve({ runtimeName: 'berth', runtimeVersion: '1' }) } },
    runtimeHealth: { ...runtime, network },
    capacity: { cpu: 4, memory: '8Gi', [gpu]: '2' },
    allocatable: { cpu: 3, memory: '7Gi', [gpu]: '1' },
    conditions: nodeConditions(new Set(pressures), { runtime, network, shuttingDown, problems: [] }, [], 0),
    pods: () => [],
    controlPlane: { description: 'local' },
    startedAt: 0,
  } as unknown as Agent;
  const route = nodeRoutes(agent).find(({ path }) => path === '/v1/node');
  const answer = await route?.handle({} as never, new AbortController().signal);
  return (answer as { value: NodeView }).value;
}

test('the node says of itself what a node object says of it', async () => {
  const node = await view(false, 'DiskPressure');
  expect(node).toMatchObject({ capacity: { cpu: '4', [gpu]: '2' }, allocatable: { cpu: '3', [gpu]: '1' } });
  expect(node.conditions.map(({ type, status, reason = '' }) => `${type} ${status} ${reason}`)).toEqual([
    'MemoryPressure false KubeletHasSufficientMemory',
    'DiskPressure true KubeletHasDiskPressure',
    'PIDPressure false KubeletHasSufficientPID',
    'Ready true KubeletReady',
    'RuntimeReady true ',
    'NetworkReady true ',
  ]);
  expect(nodeObject(node)).toMatchObject({
    status: {
      capacity: { memory: '8Gi' },
      allocatable: { memory: '7Gi', [gpu]: '1' },
      conditions: expect.arrayContaining([
        {
          type: 'DiskPressure',
          status: 'True',
          reason: 'KubeletHasDiskPressure',
          message: 'kubelet has disk pressure',
          lastTransitionTime: '1970-01-01T00:00:00Z',
        },
      ]),
    },
  });
  expect(nodeTable(node, false, 0).rows[0]?.[1]).toBe('Ready,DiskPressure');
});

test('a node that shuts down is not ready', async () => {
  const node = await view(true);
  expect(node.conditions).toContainEqual(
    expect.objectContaining({ type: 'Ready', status: false, message: 'node is shutting down' }),
  );
  expect(nodeTable(node, false, 0).rows[0]?.[1]).toBe('NotReady');
});
