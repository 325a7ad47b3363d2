import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import {
  chooseDevices,
  DeviceManager,
  ServedDevicePlugin,
  topologyHints,
  type Device,
  type PodAdmission,
} from '../../deviceplugin/index.js';
import { benchRow, cheapestCpuMs, percentile, type BenchRow } from './measure.js';

const resource = 'example.com/gpu';
const wanted = 8;
const numaNodes = [0, 1, 2, 3, 4, 5, 6, 7];
const targetMs = 2;
const { signal } = new AbortController();

const devices: readonly Device[] = Array.from({ length: 64 }, (_, index) => ({
  id: `gpu-${index}`,
  healthy: true,
  numaNodes: [index % numaNodes.length],
}));

/** 8 of 64 devices near each other: the choice alone, and everything from the question to the answer that may be used. */
export async function benchDeviceAllocation(): Promise<BenchRow[]> {
  const choice = cheapestCpuMs(choose, 8, 50);
  const whole = await wholeAllocation();
  return [
    benchRow(`choice of ${wanted} of ${devices.length} devices with NUMA hints, CPU`, choice, targetMs),
    // Times, not CPU: of others' use of the machine the fastest tenth is free.
    benchRow(`the same with both checkpoints and the plugin's answer, fastest tenth`, percentile(whole, 0.1), targetMs),
  ];
}

/** Half of the devices are taken. */
function choose(): void {
  const list = new Map(devices.map((device) => [device.id, device]));
  const inUse = new Set(devices.filter((_, index) => index % 3 === 0).map(({ id }) => id));
  const available = new Set(devices.filter(({ id }) => !inUse.has(id)).map(({ id }) => id));
  const hints = topologyHints({
    count: wanted,
    devices: list,
    available,
    reusable: new Set(),
    machineNodes: numaNodes,
  });
  const affinity = hints?.find(({ preferred }) => preferred)?.numaNodes ?? hints?.[0]?.numaNodes;
  const chosen = chooseDevices({
    count: wanted,
    devices: list,
    inUse,
    reusable: new Set(),
    affinity,
    preferred: 'none',
  });
  if (chosen.kind !== 'chosen') throw new Error(`nothing was chosen: ${chosen.kind}`);
}

async function wholeAllocation(): Promise<number[]> {
  const root = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  try {
    await using manager = new DeviceManager(
      { root, numaNodes },
      { clock: systemClock, recorder: noRecorder, log: silentLogger },
    );
    await manager.start(signal);
    const listed = new Promise<void>((resolve) => {
      const subscription = manager.subscribe(() => {
        if (manager.allocatableDevices().length < devices.length) return;
        subscription[Symbol.dispose]();
        resolve();
      });
    });
    await using _plugin = await ServedDevicePlugin.serve(
      { resource, folder: join(root, 'device-plugins') },
      { allocate: (ids) => ({ envs: { GPUS: ids.join(',') } }) },
      devices,
    );
    await listed;
    const container = { name: 'main', kind: 'regular' as const, limits: { [resource]: wanted } };
    const podOf = (round: number): PodAdmission => ({
      ...{ uid: `pod-${round}`, namespace: 'default', name: `pod-${round}`, containers: [container] },
      affinity: () => manager.topologyHints(podOf(round), 'main').get(resource)?.[0]?.numaNodes,
    });
    const times: number[] = [];
    for (let round = 0; round < 60; round++) {
      const started = performance.now();
      const { kind } = await manager.allocate(podOf(round), signal);
      if (round >= 20) times.push(performance.now() - started);
      if (kind !== 'allocated') throw new Error('nothing was allocated');
      // Six pods hold devices at any time.
      if (round >= 6) await manager.release(`pod-${round - 6}`, signal);
    }
    return times.sort((a, b) => a - b);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
