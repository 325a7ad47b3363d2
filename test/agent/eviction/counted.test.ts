import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadManifestReader } from '../../../agent/api/index.js';
import { withDefaults } from '../../../agent/config/kubelet/index.js';
import { openAgent } from '../../../agent/open-agent.js';
import { MetricsStore } from '../../../agent/serving/index.js';
import { silentLogger } from '../../../base/log.js';
import { AgentWorld, canRunAgent } from '../agent-world.js';
import { podManifest, script } from '../pod-objects.js';
import { eventually } from '../../support/daemon.js';

const able = await canRunAgent();
if (!able) console.warn('SKIPPED: counted evictions need root, crun and the compiled agent');

const slowMs = 60_000;

/** Series of one metric that are not 0: `labels = value`. */
const seriesOf = (store: MetricsStore, name: string): string[] =>
  store
    .snapshots()
    .filter((each) => each.name === name)
    .flatMap(({ values }) => values)
    .filter(({ metricName, value }) => value !== 0 && (metricName === name || metricName === `${name}_count`))
    .map(({ labels, value }) => [...Object.values(labels), '=', value].join(' '));

test.skipIf(!able)('who would go is told before, and an eviction is counted by its signal', async ({ signal }) => {
  // Never that few, but near enough for the node to be looked at every second.
  const kubelet = withDefaults({
    ...{ evictionHard: { 'pid.available': '60%' }, volumeStatsAggPeriod: 500 },
    ...{ cpuManagerPolicy: 'static', reservedSystemCPUs: '0' },
  });
  await using world = await AgentWorld.open((config) => ({ ...config, kubelet }));
  const store = new MetricsStore();
  await using agent = await openAgent(world.config, { log: silentLogger, metrics: store }, signal);
  using _watch = store.watch(agent);
  // It takes too much when it was seen as it is.
  const signals = join(world.dir, 'signals');
  await mkdir(signals);
  const volumeMounts = [
    { name: 'data', mountPath: '/data' },
    { name: 'signals', mountPath: '/signals' },
  ];
  const waits = 'until [ -e /signals/go ]; do sleep 0.1; done';
  const manifest = podManifest('glutton', {
    containers: [script('main', `${waits}; dd if=/dev/zero of=/data/x bs=1M count=8; sleep 1000000`, { volumeMounts })],
    volumes: [
      { name: 'data', emptyDir: { sizeLimit: '4Mi' } },
      { name: 'signals', hostPath: { path: signals } },
    ],
  });
  const reader = await loadManifestReader();
  for (const { object } of reader.readText(manifest)) if (object) await agent.local?.apply(object);
  await eventually('the pod runs', () => agent.pods().some(({ status }) => status?.phase === 'Running'), slowMs);
  expect(await agent.pressureWhatIf(signal)).toMatch(/^ *1\b.*glutton/m);
  expect((await agent.explainImages(signal)).map(({ stays }) => stays?.why)).toEqual(['in-use']);
  await writeFile(join(signals, 'go'), '');
  const evicted = (): boolean => agent.pods().some(({ status }) => status?.reason === 'Evicted');
  await eventually('the pod is evicted', evicted, slowMs);
  for (const name of ['kubelet_evictions', 'kubelet_eviction_stats_age_seconds'])
    await expect.poll(() => seriesOf(store, name), { timeout: slowMs }).toEqual(['emptydirfs.limit = 1']);
  expect(seriesOf(store, 'kubelet_topology_manager_admission_requests_total')).toEqual(['= 1']);
  const shared = `= ${(cpus().length - 1) * 1000}`;
  expect(seriesOf(store, 'kubelet_cpu_manager_shared_pool_size_millicores')).toEqual([shared]);
  for (const name of ['kubelet_image_garbage_collected_total', 'kubelet_graceful_shutdown_start_time_seconds'])
    expect(store.snapshots().map((each) => each.name)).toContain(name);
  await agent.local?.delete({ kind: 'Pod', namespace: 'default', name: 'glutton' }, 0);
  await eventually('nothing is left', () => agent.pods().length === 0, slowMs);
});
