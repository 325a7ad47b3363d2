import { expect, test } from 'vitest';
import { criLabels, type v1 } from '../../../cri/index.js';
import { eventually } from '../../support/daemon.js';
import { code, signal, type ContractCases } from './cases.js';

/** What a container uses, and the events of its life. */
export function statsAndEventsCases({ subject, runPod }: ContractCases): void {
  /** Of a loop, which takes what it gets of one CPU, and of its pod, which is hardly more; nothing where none are told. */
  const ratesOf = async (podSandboxId: string, containerId: string): Promise<readonly number[]> => {
    const { runtime, cannot } = subject();
    if (cannot?.['cpu-rate'] !== undefined) return [];
    return await eventually('a rate of the container and of its pod', async () => {
      const [{ stats }, { stats: ofPod }] = await Promise.all([
        runtime.containerStats({ containerId }, signal),
        runtime.podSandboxStats({ podSandboxId }, signal),
      ]);
      const rates = [stats?.cpu?.usageNanoCores?.value ?? 0, ofPod?.linux?.cpu?.usageNanoCores?.value ?? 0];
      return rates.every((rate) => rate > 0) && rates;
    });
  };

  test('container stats are plausible', async (context) => {
    if (subject().cannot?.stats !== undefined) return context.skip(subject().cannot?.stats);
    await using pod = await runPod();
    const containerId = await pod.start('main', ['sh', '-c', 'while true; do true; done']);
    const first = await eventually('CPU time', async () => {
      const { stats } = await subject().runtime.containerStats({ containerId }, signal);
      return (stats?.cpu?.usageCoreNanoSeconds?.value ?? 0) > 20e6 ? stats : undefined;
    });
    expect(first?.attributes).toMatchObject({ id: containerId, metadata: { name: 'main' } });
    expect(first?.memory?.workingSetBytes?.value).toBeGreaterThan(10_000);
    expect(first?.memory?.workingSetBytes?.value).toBeLessThan(100_000_000);
    for (const rate of await ratesOf(pod.id, containerId)) {
      expect(rate).toBeGreaterThan(10e6);
      expect(rate).toBeLessThan(1.5e9);
    }
    const { stats: pods } = await subject().runtime.listPodSandboxStats({ filter: { id: pod.id } }, signal);
    expect(pods?.[0]?.attributes?.id).toBe(pod.id);
    const { stats: all } = await subject().runtime.listContainerStats({ filter: { podSandboxId: pod.id } }, signal);
    expect(all?.map((one) => one.attributes?.id)).toEqual([containerId]);
    await expect(subject().runtime.containerStats({ containerId: 'f'.repeat(64) }, signal)).rejects.toSatisfy(
      code('not-found'),
    );
  });

  test('metrics: every one is told as it is described; those of a container are its own', async (context) => {
    if (subject().cannot?.metrics !== undefined) return context.skip(subject().cannot?.metrics);
    await using pod = await runPod();
    const containerId = await pod.start('main', ['sh', '-c', 'sleep 1000 & wait'], {
      linux: { resources: { memoryLimitInBytes: 64 * 1024 * 1024, cpuShares: 512 } },
    });
    const { podMetrics: first = [] } = await subject().runtime.listPodSandboxMetrics({}, signal);
    const firstOfContainer = first.find(({ podSandboxId }) => podSandboxId === pod.id)?.containerMetrics?.[0]?.metrics;
    expect(firstOfContainer?.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['container_fs_usage_bytes', 'container_fs_limit_bytes', 'container_fs_inodes_free']),
    );
    const { descriptors = [] } = await subject().runtime.listMetricDescriptors({}, signal);
    const keys = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys?.length]));
    const own = await eventually('its two processes', async () => {
      const { podMetrics = [] } = await subject().runtime.listPodSandboxMetrics({}, signal);
      const [ofPod, ...others] = podMetrics.filter(({ podSandboxId }) => podSandboxId === pod.id);
      expect(others).toEqual([]);
      const [ofContainer] = ofPod?.containerMetrics ?? [];
      expect(ofContainer?.containerId).toBe(containerId);
      for (const { name, labelValues } of [...(ofPod?.metrics ?? []), ...(ofContainer?.metrics ?? [])])
        expect([name, labelValues?.length]).toEqual([name, keys.get(name)]);
      const value = (name: string): number => {
        const found = ofContainer?.metrics?.find((one) => one.name === `container_${name}`);
        return found?.value?.value ?? -1;
      };
      expect(ofPod?.metrics?.map(({ name }) => name)).toContain('container_processes');
      return value('processes') === 2 && value;
    });
    expect(own('spec_memory_limit_bytes')).toBe(64 * 1024 * 1024);
    expect(own('spec_cpu_shares')).toBe(512);
    expect(own('memory_working_set_bytes')).toBeGreaterThan(10_000);
    expect(own('start_time_seconds')).toBeGreaterThan(1_600_000_000);
  });

  test('events tell the life of a container, once and in order', async (context) => {
    if (subject().cannot?.events !== undefined) return context.skip(subject().cannot?.events);
    const stop = new AbortController();
    const seen: string[] = [];
    const ends: v1.ContainerEventResponse[] = [];
    const events = subject().runtime.containerEvents(stop.signal);
    const reading = (async () => {
      for await (const event of events) {
        seen.push(`${event.containerEventType} ${event.containerId}`);
        if (event.containerEventType === 'CONTAINER_DELETED_EVENT') ends.push(event);
      }
    })();
    await using pod = await runPod();
    const id = await pod.start('main', ['true']);
    await eventually('the end event', () => seen.includes(`CONTAINER_STOPPED_EVENT ${id}`));
    await subject().runtime.removeContainer({ containerId: id }, signal);
    await eventually('the removal event', () => seen.includes(`CONTAINER_DELETED_EVENT ${id}`));
    expect(seen.filter((line) => line.endsWith(id))).toEqual([
      `CONTAINER_CREATED_EVENT ${id}`,
      `CONTAINER_STARTED_EVENT ${id}`,
      `CONTAINER_STOPPED_EVENT ${id}`,
      `CONTAINER_DELETED_EVENT ${id}`,
    ]);
    expect(seen).toContain(`CONTAINER_STARTED_EVENT ${pod.id}`);
    const metadata = pod.config.metadata;
    const lastOf = (of: string): v1.PodSandboxStatus | null | undefined =>
      ends.find(({ containerId }) => containerId === of)?.podSandboxStatus;
    expect(lastOf(id)).toMatchObject({ id: pod.id, metadata, state: 'SANDBOX_READY' });
    await subject().runtime.stopPodSandbox({ podSandboxId: pod.id }, signal);
    await subject().runtime.removePodSandbox({ podSandboxId: pod.id }, signal);
    if (subject().cannot?.['sandbox-events'] === undefined) {
      // A kubelet has no use for an event that does not say whose it is.
      const last = await eventually('the end of the sandbox', () => lastOf(pod.id) ?? undefined);
      expect(last).toMatchObject({ id: pod.id, metadata, state: 'SANDBOX_NOTREADY' });
    }
    stop.abort();
    await reading;
  });

  test('the status that comes with a start is the one that is answered when asked', async (context) => {
    if (subject().cannot?.events !== undefined) return context.skip(subject().cannot?.events);
    const stop = new AbortController();
    const starts = new Map<string, v1.ContainerEventResponse>();
    const events = subject().runtime.containerEvents(stop.signal);
    const reading = (async () => {
      for await (const event of events)
        if (event.containerEventType === 'CONTAINER_STARTED_EVENT') starts.set(event.containerId ?? '', event);
    })();
    await using pod = await runPod();
    // By this label runtimes find the containers of the pod.
    const labels = { [criLabels.podUid]: pod.config.metadata?.uid ?? '' };
    const containerId = await pod.start('main', ['sleep', '1000'], { labels });
    const { containersStatuses } = await eventually('the start event', () => starts.get(containerId));
    const { status } = await subject().runtime.containerStatus({ containerId }, signal);
    expect(status?.state).toBe('CONTAINER_RUNNING');
    expect(containersStatuses?.find(({ id }) => id === containerId)).toEqual(status);
    const ofSandbox = starts.get(pod.id)?.podSandboxStatus;
    const { status: sandbox } = await subject().runtime.podSandboxStatus({ podSandboxId: pod.id }, signal);
    // One that is told of before its addresses are known is asked for again.
    if (ofSandbox?.network?.ip) expect(ofSandbox).toEqual(sandbox);
    stop.abort();
    await reading;
  });
}
