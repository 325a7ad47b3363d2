import { expect, test } from 'vitest';
import type { ContainerStats, NodeStats, PodStats } from '../../stats/summary-types.js';
import { nodeUsageTable, podUsageTable } from './usage-tables.js';

const time = '2026-01-01T00:00:00Z';
const container = (name: string, milli: number | undefined, mebi: number): ContainerStats => ({
  name,
  startTime: time,
  cpu: { time, usageCoreNanoSeconds: 1, usageNanoCores: milli === undefined ? undefined : milli * 1e6 },
  memory: { time, workingSetBytes: mebi * 1024 ** 2 },
});
const pod = (namespace: string, name: string, ...containers: ContainerStats[]): PodStats => ({
  podRef: { name, namespace, uid: name },
  startTime: time,
  containers,
});
const web = pod('default', 'web', container('server', 1.2, 2.9), container('helper', 3, 10));
const shop = pod('shop', 'till', container('main', 40, 1));
const plain = { namespaces: false, containers: false, sum: false };

test('a pod uses what its containers use together', () => {
  expect(podUsageTable([web, shop], plain)).toEqual({
    header: ['NAME', 'CPU(cores)', 'MEMORY(bytes)'],
    rows: [
      ['web', '5m', '12Mi'],
      ['till', '40m', '1Mi'],
    ],
  });
});

test('containers have rows of their own, the largest first when asked, with namespaces where all are shown', () => {
  const options = { ...plain, namespaces: true, containers: true, sortBy: 'cpu' } as const;
  expect(podUsageTable([web, shop], options)).toEqual({
    header: ['NAMESPACE', 'POD', 'NAME', 'CPU(cores)', 'MEMORY(bytes)'],
    rows: [
      ['shop', 'till', 'main', '40m', '1Mi'],
      ['default', 'web', 'helper', '3m', '10Mi'],
      ['default', 'web', 'server', '2m', '2Mi'],
    ],
  });
  expect(podUsageTable([shop, web], { ...plain, sortBy: 'memory' }).rows.map(([name]) => name)).toEqual([
    'web',
    'till',
  ]);
});

test('the sum stands below its columns', () => {
  expect(podUsageTable([web, shop], { ...plain, namespaces: true, sum: true }).rows.slice(2)).toEqual([
    ['', '', '________', '________'],
    ['', '', '45m', '13Mi'],
  ]);
});

test('what was not seen twice yet is unknown, and nothing where others are known', () => {
  const fresh = container('fresh', undefined, 1);
  expect(podUsageTable([pod('a', 'one', fresh)], plain).rows).toEqual([['one', '<unknown>', '1Mi']]);
  expect(podUsageTable([pod('a', 'two', fresh, container('old', 7, 1))], plain).rows).toEqual([['two', '7m', '2Mi']]);
  expect(podUsageTable([pod('a', 'none')], plain).rows).toEqual([['none', '<unknown>', '<unknown>']]);
});

test('the node tells its share of what pods may use', () => {
  const { cpu, memory } = container('', 500, 1536);
  const node: NodeStats = { nodeName: 'vm', systemContainers: [], startTime: time, cpu, memory };
  expect(nodeUsageTable(node, { cpu: '2', memory: '2Gi' })).toEqual({
    header: ['NAME', 'CPU(cores)', 'CPU(%)', 'MEMORY(bytes)', 'MEMORY(%)'],
    rows: [['vm', '500m', '25%', '1536Mi', '75%']],
  });
  expect(nodeUsageTable({ ...node, cpu: undefined }, {}).rows).toEqual([
    ['vm', '<unknown>', '<unknown>', '1536Mi', '<unknown>'],
  ]);
});
