import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WholeCluster } from '../agent/serving/kubelet-api/whole-cluster.js';
import type { AuditedRequest } from '../support/control-plane.js';
import { busyboxReference, Containerd, missingForContainerd, type ContainerdFlavour } from '../support/containerd.js';
import { sampleImage } from '../agent/agent-world.js';
import { lastCallEnds, PodWatcher } from './cluster-node.js';
import { RuntimeClock } from './cluster-runtime-clock.js';
import { benchRow, cpuSeconds, percentile, residentMiB, rowTable, settleMs, type BenchRow } from './measure.js';

export interface ClusterBenchOptions {
  readonly count: number;
  readonly idleMs: number;
}

/** One pod, so often. */
const rounds = 5;
const nodeName = 'bench-node';
const nodeUser = `system:node:${nodeName}`;
const targets = { shareMs: 30, writes: 5, idleCpu: 0.5, idleRequests: 20, rssMiB: 130 };

/** A node of a real API server: how long pods take as its watchers see it, and what the agent costs there. */
export async function printCluster(options: ClusterBenchOptions): Promise<void> {
  await printNode('embedded', sampleImage, [], options);
  const flavours: readonly ContainerdFlavour[] = ['2.x', '1.6'];
  const flavour = flavours.find((each) => missingForContainerd(each) === undefined);
  if (!flavour) {
    console.log('SKIPPED: no containerd on this machine');
    return;
  }
  await using containerd = await Containerd.open(flavour);
  await using clock = await RuntimeClock.open(join(containerd.folder, 'clock.sock'), containerd.socket);
  const flags = [`--container-runtime-endpoint=${clock.endpoint}`];
  await printNode(`containerd ${flavour}`, busyboxReference, flags, options, clock);
}

async function printNode(
  title: string,
  image: string,
  flags: readonly string[],
  { count, idleMs }: ClusterBenchOptions,
  clock?: RuntimeClock,
): Promise<void> {
  await using whole = await WholeCluster.open({ nodeName, flags, controllers: false, audit: true, logLevel: 'warn' });
  await using watcher = await PodWatcher.open(whole);
  await whole.until('the node is ready', async () => {
    const { stdout } = await whole.try(['wait', '--for=condition=Ready', `node/${nodeName}`, '--timeout=20s']);
    return stdout.includes('condition met') || undefined;
  });
  const rows: BenchRow[] = [];
  // The first pod pays for what is loaded once; a node in service has had it.
  await burst(whole, watcher, 1, image, 'first');
  await gone(whole, watcher);
  const singles: Burst[] = [];
  for (let round = 0; round < rounds; round++) {
    singles.push(await burst(whole, watcher, 1, image, `one-${round}`, clock));
    await gone(whole, watcher);
  }
  const one = {
    readyMs: spread(singles.map(({ readyMs }) => readyMs.max)),
    shareMs: spread(singles.map(({ shareMs }) => shareMs.max)),
  };
  const cpuBefore = cpuSeconds(whole.agentPid);
  const all = await burst(whole, watcher, count, image, 'many');
  const cpuMs = ((cpuSeconds(whole.agentPid) - cpuBefore) * 1000) / count;
  rows.push(benchRow('one pod: after the last runtime call', one.shareMs.p50, targets.shareMs));
  rows.push(benchRow(`API writes a pod, of ${count}`, all.writesPerPod, targets.writes, ''));
  await delay(settleMs);
  const rest = await idle(whole, idleMs);
  rows.push(benchRow(`idle at ${count} pods: CPU a minute`, rest.cpuSeconds, targets.idleCpu, 's'));
  rows.push(benchRow(`idle at ${count} pods: requests a minute`, rest.requests, targets.idleRequests, ''));
  rows.push(benchRow(`RSS at ${count} pods`, residentMiB(whole.agentPid), targets.rssMiB, 'MiB'));
  console.log(`\n## A node of a real API server, ${title}\n`);
  console.log(`create to Ready: one pod ${one.readyMs.p50.toFixed(0)} ms; ${count} pods: ${words(all.readyMs)}`);
  console.log(`after a container was started, ${count} pods: ${words(all.shareMs)}; CPU ${cpuMs.toFixed(1)} ms a pod`);
  console.log(`writes of ${count} pods: ${all.kinds}`);
  console.log(`requests at rest: ${rest.kinds}\n`);
  console.log(rowTable(rows));
  await gone(whole, watcher);
}

interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const spread = (values: readonly number[]): Spread => {
  const sorted = values.toSorted((a, b) => a - b);
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), max: percentile(sorted, 1) };
};
const words = ({ p50, p99, max }: Spread): string =>
  `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, all ${max.toFixed(0)} ms`;

interface Burst {
  readonly readyMs: Spread;
  /** From the end of the last runtime call of a pod until the server has its Ready. */
  readonly shareMs: Spread;
  readonly writesPerPod: number;
  /** What was written, most often first. */
  readonly kinds: string;
}

async function burst(
  whole: WholeCluster,
  watcher: PodWatcher,
  count: number,
  image: string,
  prefix: string,
  clock?: RuntimeClock,
): Promise<Burst> {
  const { cluster } = whole;
  const before = (await cluster.audited(nodeUser)).length;
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  const began = Date.now();
  await Promise.all(names.map((name) => cluster.api('POST', '/api/v1/namespaces/default/pods', podOf(name, image))));
  await whole.until(
    'all pods are ready',
    async () => names.every((each) => watcher.seen.has(each)) || undefined,
    180_000,
  );
  const socket = join(whole.world.config.paths.runDir, 'berth.sock');
  const ends = await lastCallEnds(socket);
  // Events are written in the background, and count as well.
  await delay(3000);
  const requests = (await cluster.audited(nodeUser)).slice(before);
  const share = names.flatMap((name) => {
    const { uid = '', containerId = '' } = watcher.seen.get(name) ?? {};
    const written = requests.findLast((each) => isStatusOf(each, name));
    if (!written) return [];
    const at = Date.parse(written.requestReceivedTimestamp);
    const end = clock ? clock.lastBefore(at) : Math.max(ends.get(uid) ?? 0, ends.get(containerId) ?? 0);
    return end === undefined ? [] : [at - end];
  });
  return {
    readyMs: spread(names.map((name) => (watcher.seen.get(name)?.readyAt ?? 0) - began)),
    shareMs: spread(share),
    writesPerPod: requests.filter(isWriteOfPod).length / count,
    kinds: kindsOf(requests.filter(isWriteOfPod)),
  };
}

const isStatusOf = ({ verb, objectRef }: AuditedRequest, name: string): boolean =>
  verb === 'patch' && objectRef?.resource === 'pods' && objectRef.subresource === 'status' && objectRef.name === name;

const isWriteOfPod = ({ verb, objectRef }: AuditedRequest): boolean =>
  ['create', 'update', 'patch', 'delete'].includes(verb) &&
  ['pods', 'events', 'serviceaccounts'].includes(objectRef?.resource ?? '');

function kindsOf(requests: readonly AuditedRequest[]): string {
  const counts = new Map<string, number>();
  for (const { verb, objectRef } of requests) {
    const kind = [verb, objectRef?.resource ?? '?', objectRef?.subresource].filter(Boolean).join(' ');
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const byCount = [...counts].toSorted(([, a], [, b]) => b - a);
  return byCount.map(([kind, times]) => `${times} ${kind}`).join(', ');
}

async function idle(whole: WholeCluster, idleMs: number) {
  const requestsBefore = (await whole.cluster.audited(nodeUser)).length;
  const cpuBefore = cpuSeconds(whole.agentPid);
  await delay(idleMs);
  const requests = (await whole.cluster.audited(nodeUser)).slice(requestsBefore);
  return {
    cpuSeconds: ((cpuSeconds(whole.agentPid) - cpuBefore) * 60_000) / idleMs,
    requests: (requests.length * 60_000) / idleMs,
    kinds: kindsOf(requests),
  };
}

async function gone(whole: WholeCluster, watcher: PodWatcher): Promise<void> {
  await whole.cluster.api('DELETE', '/api/v1/namespaces/default/pods');
  await whole.until('all pods are gone', async () => watcher.present === 0 || undefined, 180_000);
}

const podOf = (name: string, image: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: {
    nodeName,
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    containers: [{ name: 'main', image, imagePullPolicy: 'IfNotPresent', command: ['sleep', '1000000'] }],
  },
});
